"""The ready search `sweep=mlp` beside the default command, on tables with the same splits."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import BeforeValidator
from rich.table import Table

from benchmarks.arguments import Count, Names, Reported
from benchmarks.child import seconds_of
from benchmarks.quality.tables import overrides_of, read_tables
from benchmarks.report import Report, grid
from benchmarks.search.command import TRAIN
from benchmarks.search.folder import best_of, metrics_of
from benchmarks.timing import Key, Times
from mlplab.cli.arguments import Text
from mlplab.runs.discovery import ENSEMBLE_FILE, read_metrics

DEFAULT, SINGLE, SEARCH, ENSEMBLE = "default", "network", "search", "ensemble"


def _words(value: object) -> object:
    return tuple(shlex.split(value)) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Ready(Reported):
    """The arguments of this benchmark.

    Attributes:
        splits: of each table, at most.
        search: what the command of the search has beside the others'.
        overrides: of all commands.
    """

    tables: Text
    only: Names = ()
    splits: Count = 1
    search: Words = ("sweep=mlp", "sweep.minutes=3")
    overrides: Words = ()


@dataclass(frozen=True)
class Found:
    """Errors on the validation rows and on the test rows.

    Attributes:
        val: of a network of the default command, and of the search's best trial.
        test: of the default command, of its network alone, of the best trial, and of the chosen ensemble, if
            there is one.
    """

    table: str
    split: int
    val: dict[str, float]
    test: dict[str, float]
    trials: int


def measure(arguments: Ready) -> Report:
    """Trains the default and a network of it alone, and searches, on each split of each table.

    Raises:
        UserError: if a table cannot be used.
    """
    found, times = list[Found](), dict[Key, Times]()
    for table in read_tables(Path(arguments.tables).resolve(), arguments.only):
        for split in table.splits[: arguments.splits]:
            with TemporaryDirectory() as name:
                for command, seconds in _trained(Path(name), arguments, overrides_of(table, split)).items():
                    times[table.name, split.number, command] = Times([seconds])
                error = "log_loss" if table.classes else "rmse"
                found.append(found_in(Path(name), table.name, split.number, f"test/{error}"))
            print(found[-1], file=sys.stderr)
    tables = [
        _table("errors on the validation rows, of single networks", [each.val for each in found], found),
        _table("errors on the test rows; search: its best trial", [each.test for each in found], found),
    ]
    return Report(arguments, tables, times, {"errors": [asdict(each) for each in found]})


def _trained(folder: Path, arguments: Ready, overrides: Sequence[str]) -> dict[str, float]:
    """The seconds of each command."""
    shared = (*overrides, "baselines=[]", "figures=none", *arguments.overrides)
    commands = {
        DEFAULT: (*shared, f"hydra.run.dir={folder}/default"),
        SINGLE: (*shared, "ensemble=1", f"hydra.run.dir={folder}/single"),
        SEARCH: ("-m", *shared, *arguments.search, f"hydra.sweep.dir={folder}/search"),
    }
    return {name: seconds_of(name, TRAIN, *words) for name, words in commands.items()}


def found_in(folder: Path, table: str, split: int, error: str) -> Found:
    """The errors in the folders default, single and search in a folder.

    Args:
        error: the name of that on the test rows.
    """
    trials, best = metrics_of(folder / "search"), best_of(folder / "search")
    default, single = (read_metrics(folder / name) for name in ("default", "single"))
    [tested] = (each[error] for each in trials.values() if error in each)
    val = {SINGLE: single[best["monitor"]], SEARCH: best["value"]}
    test = {DEFAULT: default[error], SINGLE: single[error], SEARCH: tested}
    if chosen := next((folder / "search").glob(f"ensemble-*/{ENSEMBLE_FILE}"), None):
        test[ENSEMBLE] = json.loads(chosen.read_bytes())[error]
    return Found(table, split, val, test, len(trials))


def _table(title: str, errors: Sequence[Mapping[str, float]], found: Sequence[Found]) -> Table:
    """The first column is the base of all ratios; their means are over tables."""
    base, *others = (name for name in errors[0] if all(name in own for own in errors))
    ratios = [f"{name}/{base}" for name in others]
    table = grid(title, "table, split", base, *others, *ratios, "trials")
    for each, own in zip(found, errors, strict=True):
        cells = [f"{own[name]:.4g}" for name in (base, *others)]
        relative = [f"{own[name] / own[base]:.3f}×" for name in others]
        table.add_row(f"{each.table}, {each.split}", *cells, *relative, str(each.trials))
    means = [fmean(own[name] / own[base] for own in errors) for name in others]
    table.add_section()
    table.add_row("mean", "", *("" for _ in others), *(f"{mean:.3f}×" for mean in means), "")
    return table
