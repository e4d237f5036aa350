"""Scores a trained run on its test rows or on a different file.

python scripts/evaluate.py run=FOLDER [data.path=other.csv]

  run=FOLDER             the folder of a run, or of a sweep, whose runs are also scored as an ensemble
  runs=best              which runs of a sweep: best, all seeds and folds of the configuration with the best
                         mean validation metric; all; or N, the N runs with the best validation metric
  data.path=FILE         a CSV or Parquet file with the target; without it, the run's own test rows.
                         Rows that were in training or validation are left out
  training_rows=include  includes those rows; the scores are then not test scores

Prints the scores (and for classes the confusion matrix), and writes them to FOLDER/evaluation.json.
"""

from pathlib import Path
from typing import Literal

from mlplab.cli.arguments import Arguments, Text, command
from mlplab.imports import heavy_imports


class Data(Arguments):
    """A different file."""

    path: Text


class Evaluate(Arguments):
    """The arguments of evaluate."""

    run: Text
    runs: Text = "best"
    data: Data | None = None
    training_rows: Literal["exclude", "include"] = "exclude"


def evaluate(arguments: Evaluate) -> None:
    """Prints a table of scores."""
    with heavy_imports():
        import torch
        from rich.console import Console

        from mlplab.commands.evaluate import evaluate
        from mlplab.commands.render import NETWORK, confusion_table, score_table
        from mlplab.console import print_line

    torch.set_num_threads(1)
    report = evaluate(
        Path(arguments.run),
        arguments.data.path if arguments.data else None,
        runs=arguments.runs,
        training_rows=arguments.training_rows,
    )
    console = Console()
    print_line(console, f"{report.source}: {report.rows} rows")
    rows = {NETWORK: report.members[0]}
    if len(report.members) > 1:
        mean, sd = report.mean_and_sd()
        rows = {f"mean of {len(report.members)} networks": mean, "their standard deviation": sd}
        rows |= {"their ensemble": report.ensemble} if report.ensemble else {}
    rows |= report.baselines
    console.print(score_table(rows, "test" if report.part == "test" else "all rows, not a test"))
    if report.confusion is not None:
        console.print(confusion_table(report.classes, report.confusion.tolist()))


if __name__ == "__main__":
    command(evaluate, Evaluate, __doc__)
