"""A run: a configuration, and the rows on which it is trained. Imports neither torch nor polars."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlplab.config import Mlp, ResolvedConfig

if TYPE_CHECKING:
    from torch import Tensor

    from mlplab.data.cache import RunData

Configs = Sequence[ResolvedConfig]  # the configuration of each member of a stack

FACTOR = 3  # one in this many runs goes on after a rung


@dataclass(frozen=True)
class Rung:
    """A point in training at which runs are compared.

    Args:
        share: the fraction of a run's epochs after which it is compared.
        earlier: the values of runs that reached the rung before: their best monitored metric until then,
            negated if the highest is the best.
    """

    share: float
    earlier: tuple[float, ...]


@dataclass(frozen=True)
class Bracket:
    """When a run may end early. Runs of a stack are compared if their rungs are equal.

    Args:
        rungs: by ascending share.
        deadline: the time after which no further epoch begins, in seconds since 1970.
    """

    rungs: tuple[Rung, ...]
    deadline: float = math.inf


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
    if not isinstance(run.model, Mlp):
        return []
    names = run.model.activations
    return [names[member * len(names) // run.ensemble] for member in range(run.ensemble)]


def member_configs(run: ResolvedConfig) -> list[ResolvedConfig]:
    """The networks of an ensemble, as configurations of single runs: each has a seed and an activation.

    Runs with different seeds and ensembles of one size have no member's seed in common.
    """
    members, names, configs = run.ensemble, activations(run), list[ResolvedConfig]()
    for member in range(members):
        seed = (run.seed * members + member) % 2**63
        model = run.model.model_copy(update={"activation": names[member]}) if names else run.model
        configs.append(run.model_copy(update={"seed": seed, "model": model}))
    return configs
