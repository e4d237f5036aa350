"""Who is compared by `quality`: this project, variants of it, and its peers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal

from benchmarks.quality import ours, peers
from benchmarks.quality.peers import Peer
from benchmarks.quality.scores import Outcome, Trial
from benchmarks.quality.tables import BenchmarkTable, Split
from mlplab.errors import Fault, UserError

OURS: Literal["mlplab"] = "mlplab"
"""Also how the names of its variants begin."""

Kind = Literal["mlplab", Peer]

PACKAGES: Mapping[Kind, str] = {
    "mlplab": "mlplab",
    "mlp": "scikit-learn",
    "linear": "scikit-learn",
    "boosting": "scikit-learn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "realmlp": "pytabkit",
}
"""What each is part of. mlplab needs the first two; the others' modules have the same names."""

SEEDED: Sequence[Kind] = ("mlplab", "mlp", "realmlp")
"""Networks, whose errors depend on the seed; the others are fitted once."""


@dataclass(frozen=True)
class Contender:
    """What is fitted.

    Attributes:
        overrides: of mlplab's configuration.
        seeds: how many it is fitted with.
    """

    name: str
    kind: Kind
    overrides: tuple[str, ...]
    seeds: int

    def trials(self, table: BenchmarkTable, split: Split) -> Iterator[Trial]:
        """Its fits to a split of a table."""
        of_split = partial(Trial, table=table.name, split=split.number, hash=split.hash, task=table.task)
        for seed in range(self.seeds):
            yield of_split(contender=self.name, overrides=self.overrides, seed=seed)

    def outcome(self, table: BenchmarkTable, split: Split, seed: int) -> Outcome:
        """Fits it, and predicts the rows for testing."""
        if self.kind == OURS:
            return ours.outcome(self.overrides, table, split, seed)
        return peers.outcome(self.kind, table, split, seed)

    @property
    def package(self) -> dict[str, str]:
        """What it is part of, with its version."""
        return {"package": PACKAGES[self.kind], "version": version(PACKAGES[self.kind])}


def contenders_of(
    kinds: Sequence[Kind] | None, variants: Mapping[str, tuple[str, ...]], seeds: int
) -> list[Contender]:
    """This project first, then its variants, then the peers.

    Args:
        kinds: None: all that are installed.
        variants: overrides by name.

    Raises:
        UserError: if one of the kinds is not installed.
    """
    kinds = list(dict.fromkeys(kinds or filter(_is_installed, PACKAGES)))
    if missing := [PACKAGES[kind] for kind in kinds if not _is_installed(kind)]:
        raise UserError(*map(missing_fault, missing))
    return [
        *(Contender(OURS, OURS, (), seeds) for kind in kinds if kind == OURS),
        *(Contender(f"{OURS} {name}", OURS, overrides, seeds) for name, overrides in variants.items()),
        *(Contender(kind, kind, (), seeds if kind in SEEDED else 1) for kind in kinds if kind != OURS),
    ]


def missing_fault(package: str) -> Fault:
    """The fault of what the extra `bench` would bring."""
    return Fault(f"needs {package}: uv run --extra bench scripts/benchmark.py quality")


def _is_installed(kind: Kind) -> bool:
    package = PACKAGES[kind]
    return package in (OURS, "scikit-learn") or find_spec(package) is not None
