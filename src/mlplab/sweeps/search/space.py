"""The space of a search: keys with their values in Hydra's override syntax, as distributions of Optuna."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Sweep
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from mlplab import config
from mlplab.errors import Fault, UserError, listed, refusal
from mlplab.sweeps.grid import each_value, with_value

Param = float | int | str  # the value of a key as Optuna stores it; a list such as [64,64] is its text

Params = Mapping[str, Param]  # a value for each of some keys

# Keys, and sections of keys, that a search may vary. With others, the runs could not be compared by their
# validation metric, or it would only select the luckiest seed or split.
SEARCHABLE = (
    *("model", "loss", "optimizer", "scheduler", "data.batch_size", "trainer.max_epochs"),
    *("trainer.gradient_clip_val", "callbacks.early_stopping"),
)


Distribution = CategoricalDistribution | FloatDistribution | IntDistribution


@dataclass(frozen=True)
class Dimension:
    """A key with its values: numbers, or the texts of choices."""

    override: Override
    distribution: Distribution

    @property
    def ends(self) -> Sequence[Param]:
        """All choices, or the lowest and the highest number."""
        if isinstance(self.distribution, CategoricalDistribution):
            return [str(choice) for choice in self.distribution.choices]
        return [self.distribution.low, self.distribution.high]

    def given(self, value: Param) -> Override:
        """The override of a trial with a value."""
        if isinstance(self.distribution, CategoricalDistribution):
            return next(each for each in each_value(self.override) if each.get_value_string() == value)
        return with_value(self.override, value, str(value))

    def matching_value(self, value: Any) -> Param | None:
        """A value of the configuration as one of these; None if it is none of them."""
        if isinstance(self.distribution, CategoricalDistribution):  # 0 is 0.0
            same = (each for each in each_value(self.override) if each.value() == value)
            return next((each.get_value_string() for each in same), None)
        try:
            create_trial(params={"": value}, distributions={"": self.distribution}, value=0.0)
        except (ValueError, TypeError):
            return None
        return float(value) if isinstance(self.distribution, FloatDistribution) else int(value)


def dimension_of(override: Override) -> Dimension:
    """The dimension that an override describes.

    Raises:
        UserError: if the key may not vary, or has no values, wrong values or a single one.
    """
    key, text = override.get_key_element().lstrip("+"), override.get_value_string()
    if not config.is_one_of(key, SEARCHABLE):
        expected, remedy = f"keys of {listed(SEARCHABLE)}", f"choose one value: {key}=…"
        raise UserError(Fault("cannot be searched", key, text, expected, remedy))
    try:
        distribution = _distribution(override)
    except (ValueError, OverflowError) as error:
        expected = "choice(…), range(…), interval(LOW,HIGH) or tag(log,interval(LOW,HIGH))"
        raise UserError(Fault(str(error).rstrip("."), key, text, expected)) from error
    if distribution.single():
        remedy = f"give it several; or to fix it, type {key}=VALUE"
        raise UserError(Fault("has one value, so there is nothing to search", key, text, remedy=remedy))
    return Dimension(override, distribution)


@dataclass(frozen=True)
class Space:
    """The space of a search.

    Attributes:
        dimensions: the keys that vary, without `+`.
        fixed: the overrides that all trials have.
    """

    dimensions: Mapping[str, Dimension]
    fixed: Sequence[Override]

    def overrides(self, values: Params) -> list[Override]:
        """The overrides of a trial with these values, which may be of some of the keys."""
        return [*self.fixed, *(self.dimensions[key].given(value) for key, value in values.items())]


def space_of(overrides: Sequence[Override], configured: Mapping[str, str]) -> Space:
    """The space of what the command line varies, and of further keys in the configuration.

    Raises:
        UserError: if there is no key to search; as `dimension_of`.
    """
    given = {override.get_key_element().lstrip("+~") for override in overrides}
    further = [f"{key}={text}" for key, text in configured.items() if key not in given]
    varying = [override for override in overrides if override.is_sweep_override()]
    searched = [*OverridesParser.create().parse_overrides(further), *varying]
    if not searched:
        use = "'optimizer.lr=tag(log,interval(1e-4,1e-1))'; or use sweep=mlp"
        raise refusal("there is no key to search", "sweep", f"give a key several values: {use}")
    dimensions = {each.get_key_element().lstrip("+"): dimension_of(each) for each in searched}
    return Space(dimensions, [each for each in overrides if not each.is_sweep_override()])


def is_search(overrides: Sequence[Override], settings: config.Sweep) -> bool:
    """Whether a sweep is a search, not a grid: if a key of the search or an interval is typed, or if
    configuration files set such a key."""
    keys = {override.get_key_element().lstrip("+") for override in overrides}
    is_typed = any(key == "sweep" or key.startswith("sweep.") for key in keys)
    is_set = settings.space or settings.trials != "auto" or settings.minutes or settings.pruning != "none"
    return is_typed or bool(is_set) or any(override.is_interval_sweep() for override in overrides)


def _distribution(override: Override) -> Distribution:
    sweep = override.value()
    if not isinstance(sweep, Sweep):
        return CategoricalDistribution([str(sweep)])
    log = sweep.tags == {"log"}
    if sweep.tags and not (log and isinstance(sweep, IntervalSweep)):
        raise ValueError("tag(…) has no meaning here")
    match sweep:
        case IntervalSweep(start=int(low), end=int(high)):
            return IntDistribution(low, high, log)
        case IntervalSweep(start=int() | float() as low, end=int() | float() as high):
            return FloatDistribution(float(low), float(high), log)
        case RangeSweep(start=int() | float() as start, stop=int() | float() as stop, step=step) if step:
            count = ceil((Decimal(stop) - Decimal(start)) / Decimal(step))  # of the floats, as Hydra counts
            ends = Decimal(str(start)), Decimal(str(start)) + (count - 1) * Decimal(str(step))
            if count > 0 and all(isinstance(number, int) for number in (start, stop, step)):
                return IntDistribution(int(min(ends)), int(max(ends)), step=abs(int(step)))
            if count > 0:
                return FloatDistribution(float(min(ends)), float(max(ends)), step=abs(step))
        case ChoiceSweep():
            return CategoricalDistribution(list(override.sweep_string_iterator()))
    raise ValueError("has no values")
