"""Tells how good a trained run is.

python scripts/evaluate.py run=FOLDER [data.path=other.csv]

  run=FOLDER       a run's folder; of a sweep's folder the finished runs and the mean of their predictions
  data.path=FILE   rows with their target, CSV or Parquet; without it, the run's own test rows

Prints the scores and writes them to FOLDER/evaluation.json.
"""

from pathlib import Path

from mlplab.cli import Arguments, Text, command, heavy_imports


class Data(Arguments):
    """Other rows."""

    path: Text


class Evaluate(Arguments):
    """What evaluate is told."""

    run: Text
    data: Data | None = None


def evaluate(arguments: Evaluate) -> None:
    """Prints a table of scores."""
    with heavy_imports():
        import torch
        from rich.console import Console

        from mlplab.runs.evaluate import evaluate
        from mlplab.runs.show import score_grid

    torch.set_num_threads(1)
    report = evaluate(Path(arguments.run), arguments.data.path if arguments.data else None)
    console = Console()
    console.print(f"{report.source}: {report.rows} rows", soft_wrap=True, highlight=False, markup=False)
    if len(report.members) == 1:
        console.print(score_grid({"this network": report.members[0]}))
    else:
        mean, sd = report.spread()
        rows = {f"mean of {len(report.members)} networks": mean, "their standard deviation": sd}
        console.print(score_grid(rows | ({"their ensemble": report.ensemble} if report.ensemble else {})))


if __name__ == "__main__":
    command(evaluate, Evaluate, __doc__)
