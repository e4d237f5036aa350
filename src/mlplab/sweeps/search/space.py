"""The space of a search: keys with their values in Hydra's override syntax, as distributions of Optuna."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, inf, isclose, prod

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from mlplab.config import Sweep
from mlplab.errors import Fault, UserError, listed

Value = float | int | str
"""A value as Optuna stores it; a list such as [64,64] is its text."""

SEARCHABLE = (
    *("model", "loss", "optimizer", "scheduler", "data.batch_size", "trainer.max_epochs"),
    *("trainer.gradient_clip_val", "callbacks.early_stopping"),
)
"""Keys, and sections of keys, that a search may vary. With others, the runs could not be compared by their
validation metric, or it would only select the luckiest seed or split."""

LOG = "log"
"""The tag of values that are searched on a logarithmic scale."""


@dataclass(frozen=True)
class Dimension:
    """A key and its values.

    Args:
        key: without the `+` of an added key.
        typed: the key as typed.
        distribution: of numbers, or of the texts of choices.
    """

    key: str
    typed: str
    distribution: BaseDistribution

    def override(self, value: Value) -> str:
        """The override that sets the key to one of its values."""
        return f"{self.typed}={value}"

    @property
    def size(self) -> float:
        """The number of values; infinity for an interval of numbers."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return len(choices)
            case IntDistribution(low=low, high=high, step=step):
                return (high - low) // step + 1
        return inf

    def ends(self) -> Sequence[Value]:
        """All choices, or the lowest and the highest number."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return [str(choice) for choice in choices]
            case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high):
                return [low, high]
        raise AssertionError

    def matching_value(self, value: object) -> Value | None:
        """A value of the configuration as one of these; None if it is none of them."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):  # 0 is 0.0
                texts = map(str, choices)
                return next((text for text in texts if value in (text, yaml.safe_load(text))), None)
            case IntDistribution(low=low, high=high, step=step):
                is_one = isinstance(value, int) and value in range(low, high + 1, step)
                return int(value) if isinstance(value, int) and is_one else None
            case FloatDistribution(low=low, high=high, step=step) if isinstance(value, int | float):
                steps = (value - low) / (step or 1)
                is_one = low <= value <= high and (step is None or isclose(steps, round(steps)))
                return float(value) if is_one else None
        return None

    def suggest(self, trial: Trial) -> None:
        """Chooses a value for a trial."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                trial.suggest_categorical(self.key, choices)
            case IntDistribution(low=low, high=high, step=step, log=log):
                trial.suggest_int(self.key, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                trial.suggest_float(self.key, low, high, step=step, log=log)

    @property
    def text(self) -> str:
        """Such as `0.001 to 0.1, log` or `[64,64] or [128]`; equal for equal distributions."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return " or ".join(map(str, choices))
            case FloatDistribution() | IntDistribution() as numbers:
                kind = ", whole" if isinstance(numbers, IntDistribution) else ""
                is_stepped = numbers.step not in (None, 1) or (numbers.step and not kind)
                step = f", in steps of {numbers.step}" if is_stepped else ""
                return f"{numbers.low} to {numbers.high}{kind}{step}{', log' * numbers.log}"
        raise AssertionError


@dataclass(frozen=True)
class Space:
    """The keys that a search varies, and the overrides that all of its trials have.

    Args:
        dimensions: by key.
        fixed: overrides with one value.
    """

    dimensions: Mapping[str, Dimension]
    fixed: tuple[str, ...]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of each key."""
        return {key: dimension.distribution for key, dimension in self.dimensions.items()}

    @property
    def texts(self) -> dict[str, str]:
        """The values of each key, for comparisons and messages."""
        return {key: dimension.text for key, dimension in self.dimensions.items()}

    def overrides(self, values: Mapping[str, Value]) -> list[str]:
        """The overrides of a trial with these values, which may be of some of the keys."""
        return [*self.fixed, *(self.dimensions[key].override(value) for key, value in values.items())]

    @property
    def size(self) -> float:
        """The number of configurations; infinity if there is an interval of numbers."""
        return prod(dimension.size for dimension in self.dimensions.values())

    def corners(self) -> Iterator[list[str]]:
        """Overrides that set one key at a time to its extreme values."""
        for dimension in self.dimensions.values():
            for value in dimension.ends():
                yield [*self.fixed, dimension.override(value)]


def is_search(overrides: Sequence[str], settings: Sweep) -> bool:
    """Whether a sweep is a search, not a grid.

    Args:
        overrides: the command line; a key of the search or an interval asks for one.
        settings: also set by configuration files.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    keys = {override.get_key_element().lstrip("+") for override in parsed}
    is_typed = any(key == "sweep" or key.startswith("sweep.") for key in keys - {"sweep.ensemble"})
    is_set = settings.space or settings.trials != "auto" or settings.minutes or settings.pruning != "none"
    return is_typed or bool(is_set) or any(override.is_interval_sweep() for override in parsed)


def read_space(overrides: Sequence[str], configured: Mapping[str, str]) -> Space:
    """The space of a search.

    Args:
        overrides: the command line; its values replace those of the configuration.
        configured: further keys and their values, from the configuration.

    Raises:
        UserError: if there is no key to search, or one has no values, wrong values, or may not vary.
    """
    parser = OverridesParser.create()
    typed = parser.parse_overrides(list(overrides))
    given = {override.get_key_element().lstrip("+~") for override in typed}
    added = parser.parse_overrides([f"{key}={text}" for key, text in configured.items() if key not in given])
    if single := [override for override in added if not override.is_sweep_override()]:
        line = single[0].input_line or ""
        remedy = f"give it several, or remove it from the space and type {line}"
        raise UserError(
            Fault("has one value, so there is nothing to search", "sweep.space", line, remedy=remedy)
        )
    dimensions = [_dimension(each) for each in (*added, *typed) if each.is_sweep_override()]
    if not dimensions:
        remedy = "give a key several values: 'optimizer.lr=tag(log,interval(1e-4,1e-1))'; or use sweep=mlp"
        raise UserError(Fault("there is no key to search", "sweep", remedy=remedy))
    fixed = [each.input_line or "" for each in typed if not each.is_sweep_override()]
    return Space({each.key: each for each in dimensions}, tuple(fixed))


def _dimension(override: Override) -> Dimension:
    typed = override.get_key_element()
    key, text = typed.lstrip("+"), (override.input_line or "").partition("=")[2]
    _check_searchable(key, text)
    distribution = _distribution(override, override.value())
    if distribution is None:
        remedy = "give it values, as in range(1,5) or interval(0,0.5)"
        raise UserError(Fault("has no values", key, text, remedy=remedy))
    if distribution.single():
        raise UserError(
            Fault("has one value, so there is nothing to search", key, text, remedy=f"type {key}=VALUE")
        )
    return Dimension(key, typed, distribution)


def _check_searchable(key: str, text: str) -> None:
    group = key.replace("/", ".")
    if not any(f"{group}.".startswith(f"{each}.") for each in SEARCHABLE):
        remedy = f"choose one value: {key}=…"
        raise UserError(Fault("cannot be searched", key, text, f"keys of {listed(SEARCHABLE, 9)}", remedy))


def _distribution(override: Override, sweep: object) -> BaseDistribution | None:
    """None if there are no values.

    Raises:
        UserError: if an interval is reversed, a scale does not suit the values, or a value is given twice.
    """
    key, text = override.get_key_element(), (override.input_line or "").partition("=")[2]
    tags: set[str] = getattr(sweep, "tags", set())
    if unknown := tags - {LOG}:
        raise UserError(Fault("unknown tag", key, listed(sorted(unknown)), "tag(log,…)"))
    log = LOG in tags
    if log and not isinstance(sweep, IntervalSweep):
        remedy = "write tag(log,interval(LOW,HIGH)), or for whole numbers tag(log,int(interval(LOW,HIGH)))"
        raise UserError(Fault("only an interval can have a logarithmic scale", key, text, remedy=remedy))
    if getattr(sweep, "shuffle", False):
        raise UserError(Fault("a search needs no order", key, text, remedy="remove shuffle(…)"))
    match sweep:
        case IntervalSweep(start=low, end=high) if low is not None and high is not None:
            if low > high:
                remedy = f"write interval({high:g},{low:g})"
                raise UserError(Fault("the interval is reversed", key, text, remedy=remedy))
            if log and low <= 0:
                remedy = "let the interval start above 0, or remove tag(log,…)"
                raise UserError(Fault("a logarithmic scale has no values up to 0", key, text, remedy=remedy))
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log)
            return FloatDistribution(float(low), float(high), log)
        case RangeSweep(start=begin, stop=end, step=by) if begin is not None and end is not None:
            if by == 0:
                raise UserError(Fault("the step is 0", key, text, remedy="write range(START,STOP,STEP)"))
            count = ceil((Decimal(end) - Decimal(begin)) / Decimal(by))  # of the floats, as Hydra counts
            if count < 1:
                return None
            start, step = Decimal(str(begin)), Decimal(str(by))
            first, last = sorted((start, start + (count - 1) * step))
            step = abs(step)
            if all(isinstance(each, int) for each in (sweep.start, sweep.stop, sweep.step)):
                return IntDistribution(int(first), int(last), step=int(step))
            return FloatDistribution(float(first), float(last), step=float(step))
        case ChoiceSweep():
            choices = list(override.sweep_string_iterator())
            if len(set(choices)) < len(choices):
                raise UserError(Fault("a value is given twice", key, text, remedy="give each value once"))
            return CategoricalDistribution(choices)
    expected = "choice(…), range(…) or interval(…)"
    raise UserError(Fault("has values that a search cannot use", key, text, expected))
