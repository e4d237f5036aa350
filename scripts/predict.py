"""Predicts the rows of a file with a trained run.

python scripts/predict.py run=FOLDER input=new.csv output=predictions.csv

  run=FOLDER       a run's folder; of a sweep's folder the mean over some of its runs is taken
  runs=best        of a sweep: best, the runs of the configuration that is best on validation, with all its
                   seeds and folds; all; or a number of single runs, the best on validation
  input=FILE       CSV, or Parquet by its ending; - is standard input
  output=FILE      its rows, in their order, with all their columns and a column `prediction`;
                   CSV, or Parquet by its ending; - is standard output
  overwrite=true   the output may exist
  escape_formulas=true
                   puts a ' before text in CSV that a spreadsheet would run as a formula
"""

from pathlib import Path

from mlplab.cli.arguments import Arguments, Text, command
from mlplab.imports import heavy_imports


class Predict(Arguments):
    """The arguments of predict."""

    run: Text
    runs: Text = "best"
    input: Text
    output: Text
    overwrite: bool = False
    escape_formulas: bool = False


def predict(arguments: Predict) -> None:
    """Writes the output file."""
    with heavy_imports():
        import torch

        from mlplab.commands.predict import predict

    torch.set_num_threads(1)
    predict(
        Path(arguments.run),
        arguments.input,
        arguments.output,
        runs=arguments.runs,
        overwrite=arguments.overwrite,
        escape_formulas=arguments.escape_formulas,
    )


if __name__ == "__main__":
    command(predict, Predict, __doc__)
