"""Scores a trained run on its test rows or on a different file.

python scripts/evaluate.py run=FOLDER [data.path=other.csv]
python scripts/evaluate.py run=FOLDER importance=true
python scripts/evaluate.py run=SWEEP select=5

  run=FOLDER             the folder of a run, or of a sweep, whose runs are also scored as an ensemble; or the
                         file of a chosen ensemble
  runs=best              which runs of a sweep: best, all seeds and folds of the configuration with the best
                         mean validation metric; all; or N, the N runs with the best validation metric
  data.path=FILE         a CSV or Parquet file with the target; without it, the run's own test rows.
                         Rows that were in training or validation are left out
  training_rows=include  includes those rows; the scores are then not test scores
  importance=true        also tells which columns matter: how much the error grows when a column is shuffled.
                         Writes FOLDER/importance.json and a figure
  select=N               chooses an ensemble of the sweep's runs in N steps. Each step adds the run that most
                         lowers the error of the mean prediction on the validation rows; a run that is added
                         several times weighs more. The weights are written to SWEEP/ensemble-N.json, which
                         replaces an earlier choice, and can be used as run=…

Prints the scores (and for classes the confusion matrix), and writes them to FOLDER/evaluation.json.
"""

from pathlib import Path
from textwrap import fill
from typing import Annotated, Literal

from pydantic import Field

from mlplab.cli.arguments import Arguments, Text, command
from mlplab.cli.terminal import log_loading
from mlplab.errors import Fault, UserError
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
    importance: bool = False
    select: Annotated[int, Field(gt=0)] | None = None


def evaluate(arguments: Evaluate) -> None:
    """Prints a table of scores."""
    log_loading(f"torch and {arguments.run}")
    if arguments.select:
        select(arguments, arguments.select)
        return
    with heavy_imports():
        import torch
        from rich.console import Console

        from mlplab.commands.evaluate import evaluate
        from mlplab.commands.importance import print_importance
        from mlplab.commands.render import confusion_table, network_name, score_table
        from mlplab.commands.verdict import verdict
        from mlplab.console import print_line

    torch.set_num_threads(1)
    result = evaluate(
        Path(arguments.run),
        arguments.data.path if arguments.data else None,
        runs=arguments.runs,
        training_rows=arguments.training_rows,
        importance=arguments.importance,
    )
    console = Console()
    print_line(console, f"{result.source}: {result.rows} rows")
    rows = {network_name(result.networks): result.runs[0]}
    if len(result.runs) > 1:
        mean, sd = result.mean_and_sd()
        noun = "networks" if result.networks == len(result.runs) else "runs"
        rows = {f"mean of {len(result.runs)} {noun}": mean, "their standard deviation": sd}
        rows |= {"their ensemble": result.ensemble} if result.ensemble else {}
    rows |= result.baselines
    console.print(score_table(rows, "test" if result.part == "test" else "all rows, not a test"))
    if sentence := verdict(result.plain() | {"members": result.networks}):
        print_line(console, fill(sentence, console.width))
    if result.confusion is not None:
        console.print(confusion_table(result.classes, result.confusion.tolist()))
    if result.importance:
        print_importance(result.importance, console)


def select(arguments: Evaluate, steps: int) -> None:
    """Chooses an ensemble; prints its runs and a table of scores."""
    if others := sorted(arguments.model_fields_set - {"run", "select"}):
        what = f"cannot be combined with {others[0]}="
        remedy = f"remove it; afterwards, evaluate the choice: run={arguments.run}/ensemble-{steps}.json"
        raise UserError(Fault(what, f"select={steps}", remedy=remedy))
    with heavy_imports():
        import torch
        from rich.console import Console

        from mlplab.commands.select_ensemble import print_choice, select_ensemble

    torch.set_num_threads(1)
    print_choice(select_ensemble(Path(arguments.run), steps), Console())


if __name__ == "__main__":
    command(evaluate, Evaluate, __doc__)
