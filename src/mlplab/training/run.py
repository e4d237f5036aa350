"""A run: a configuration, and the rows on which it is trained. Imports neither torch nor polars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlplab.config import Mlp, ResolvedConfig
from mlplab.training.rungs import Bracket

if TYPE_CHECKING:
    from torch import Tensor

    from mlplab.data.cache import RunData

Configs = Sequence[ResolvedConfig]  # the configuration of each member of a stack


@dataclass(frozen=True, eq=False)
class InitialWeights:
    """The weights of trained networks, from which the networks of a run start.

    Args:
        state: tensors with a leading member axis, by name.
        places: for each network of the run, the member whose weights it gets.
        offsets: of the columns in their training.
    """

    state: "Mapping[str, Tensor]"
    places: Sequence[int]
    offsets: Sequence[float]


@dataclass(frozen=True, eq=False)
class Run:
    """One configuration, trained once.

    Args:
        data: its table and split.
        bracket: the rungs at which the run is compared with others of its stack, and may be pruned.
        initial: the weights from which it starts; None: random ones.
        held_out_is_new: whether none of the rows that it holds out was in the training of `initial`. The
            errors of such rows are too small for intervals.
    """

    config: ResolvedConfig
    data: "RunData"
    bracket: Bracket | None = None
    initial: InitialWeights | None = None
    held_out_is_new: bool = True


def activations(run: ResolvedConfig) -> list[str]:
    """The activation of each network of a run; none if its model has no choice of them."""
    models = [member.model for member in member_configs(run)]
    return [str(model.activation) for model in models if isinstance(model, Mlp)]


def member_configs(run: ResolvedConfig) -> list[ResolvedConfig]:
    """The networks of an ensemble, as configurations of single runs: each has a seed, and its part of
    the values that are divided.

    Runs with different seeds and ensembles of one size have no member's seed in common.
    """
    members, configs = run.ensemble, list[ResolvedConfig]()
    for member in range(members):
        own: dict[str, dict[str, object]] = {"model": {}, "optimizer": {}}
        for key, values in run.divided.items():
            section, _, name = key.partition(".")
            own[section][name] = values[member * len(values) // members]
        sections = {name: getattr(run, name).model_copy(update=update) for name, update in own.items()}
        seed = (run.seed * members + member) % 2**63
        configs.append(run.model_copy(update={"seed": seed, **sections}))
    return configs
