"""Test errors of mlplab and of its peers, on tables of numbers and of classes, and the time that fits take.

All are tested on the same rows. The networks of mlplab use a part of the other rows for validation; the peers
are fitted to all of them. Each score is written to a file at once, and what is there is not measured again.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import BeforeValidator, Field
from rich.console import Console

from benchmarks.arguments import Count, Names
from benchmarks.machine import description
from benchmarks.quality.bundled import write_tables
from benchmarks.quality.contenders import OURS, Contender, Kind, contenders_of, missing_fault
from benchmarks.quality.report import tables_of
from benchmarks.quality.scores import Score, ScoreFile, score
from benchmarks.quality.summary import means_of, summaries_of
from benchmarks.quality.tables import read_tables
from benchmarks.timing import shown
from mlplab.cli.arguments import Arguments, Text
from mlplab.console import print_line
from mlplab.errors import UserError

BASE = "mlp"
"""The contender that all are compared with; if it is not there, the first is."""

MACHINE = ("commit", "changed", "python", "cpu")
"""What the file keeps of the description of the machine."""


def _at_commas(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _variants(value: object) -> object:
    """`wide: model.hidden=[512,512]; long: trainer.max_epochs=800` as overrides by name."""
    if not isinstance(value, str):
        return value
    parts = [part.partition(":") for part in value.split(";") if part.strip()]
    if not all(name.strip() and overrides.split() for name, _, overrides in parts):
        raise ValueError("each variant needs a name and overrides, as in 'wide: model.hidden=[512,512]'")
    return {name.strip(): tuple(overrides.split()) for name, _, overrides in parts}


class Quality(Arguments):
    """The arguments of this benchmark."""

    tables: Text | None = None
    only: Names = ()
    folds: Annotated[int, Field(ge=2)] = 5
    contenders: Annotated[tuple[Kind, ...] | None, BeforeValidator(_at_commas)] = None
    variants: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_variants), Field(default_factory=dict)]
    seeds: Count = 1
    output: Text = "outputs/benchmarks/quality.jsonl"
    figure: Annotated[str, Field(pattern=r"\.(svg|png)$")] | None = None


def measure(arguments: Quality) -> None:
    """Measures what the file lacks, and shows the scores of all contenders on all tables.

    Raises:
        UserError: if a contender is not installed, or a table cannot be used.
    """
    contenders = contenders_of(arguments.contenders, arguments.variants, arguments.seeds)
    if arguments.figure and not (find_spec("altair") and find_spec("vl_convert")):
        raise UserError(missing_fault("altair and vl-convert-python"))
    scores = _scores(arguments, contenders)
    names = [each.name for each in contenders]
    base = BASE if BASE in names else names[0]
    console = Console(width=None if sys.stdout.isatty() else 80)
    for table in tables_of(scores, base):
        console.print(table)
    print_line(console, f"all scores: {arguments.output}")
    if arguments.figure:
        from benchmarks.quality.figure import draw

        draw(Path(arguments.figure), summaries_of(means_of(scores), base), base, OURS)
        print_line(console, f"figure: {arguments.figure}")


def _scores(arguments: Quality, contenders: Sequence[Contender]) -> list[Score]:
    """The scores of all trials, from the file or measured now."""
    file, description_now = ScoreFile(Path(arguments.output)), description()
    machine = {key: description_now[key] for key in MACHINE}
    scores = []
    with TemporaryDirectory() as name:
        if not arguments.tables:
            write_tables(Path(name), arguments.folds)
        trials = [
            (trial, contender, table, split)
            for table in read_tables(Path(arguments.tables or name), arguments.only)
            for split in table.splits
            for contender in contenders
            for trial in contender.trials(table, split)
        ]
        for number, (trial, contender, table, split) in enumerate(trials, 1):
            found = file.get(trial)
            if not found:
                outcome = contender.outcome(table, split, trial.seed)
                found = score(trial, table, split, outcome, contender.package | machine)
                file.add(found)
                print(f"{number}/{len(trials)} {_line(found)}", file=sys.stderr)
            scores.append(found)
    return scores


def _line(found: Score) -> str:
    trial = found.trial
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in found.metrics.items())
    where = f"{trial.table}-{trial.split}, {trial.contender}, seed {trial.seed}"
    return f"{where}: {metrics} in {shown(found.fit_seconds)}"
