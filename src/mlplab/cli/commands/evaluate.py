"""Scores a trained run, and writes the scores to FOLDER/evaluation.json.

mlplab evaluate run=FOLDER [data.path=other.csv] [importance=true]
mlplab evaluate run=SWEEP select=5

  run=FOLDER             the folder of a run, or of a sweep, whose runs are also scored as an ensemble
  runs=best              of a sweep: best, the configuration with the best mean validation metric; all; or N
  data.path=FILE         a CSV or Parquet file with the target; without it, the run's own test rows
  training_rows=include  also scores rows of FILE that were in training or validation: then it is no test
  importance=true        shows which columns matter; writes FOLDER/importance.json and FOLDER/figures
  select=N               chooses an ensemble of a sweep's runs in N steps: each adds the run that most lowers
                         the error on the validation rows; it is written to SWEEP/ensemble-N.json
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from mlplab.cli.arguments import read_arguments
from mlplab.cli.terminal import log_loading
from mlplab.commands.arguments import Evaluate
from mlplab.errors import refusal
from mlplab.imports import heavy_imports


def main(words: Sequence[str]) -> None:
    """Prints a table of scores; with `select`, after the runs of the ensemble that it chooses."""
    arguments = read_arguments(words, Evaluate, __doc__)
    if arguments.select and arguments.model_fields_set > {"run", "select"}:
        remedy = f"afterwards, evaluate the choice: run={arguments.run}/ensemble-{arguments.select}.json"
        raise refusal("takes no key but run=", f"select={arguments.select}", remedy)
    log_loading(f"torch and {arguments.run}")
    with heavy_imports():
        import torch
        from rich.console import Console

        from mlplab.commands.evaluate import evaluate
        from mlplab.commands.importance import print_importance
        from mlplab.commands.render import confusion_table, score_table, verdict
        from mlplab.commands.select_ensemble import print_choice, select_ensemble
        from mlplab.console import print_line

    torch.set_num_threads(1)
    console = Console()
    if arguments.select:
        print_choice(select_ensemble(Path(arguments.run), arguments.select), console)
        return
    result = evaluate(arguments)
    print_line(console, f"{result.source}: {result.rows} rows")
    titles = {"all": "all rows, not a test", "unchecked": "all rows, perhaps not a test"}
    console.print(score_table(dict(result.models().values()), titles.get(result.part, "test")))
    metrics = result.plain() | {"members": result.model.networks}
    has_class_weights = any(run.data.class_weights != "none" for run in result.model.config)
    if sentence := verdict(metrics, has_class_weights=has_class_weights):
        print_line(console, fill(sentence, console.width))
    if result.confusion is not None:
        console.print(confusion_table(result.model.schema.classes, result.confusion.tolist()))
    if result.importance:
        print_importance(result.importance, console)
