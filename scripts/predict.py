"""Predicts the rows of a file with a trained run.

python scripts/predict.py run=FOLDER input=new.csv output=predictions.csv

  run=FOLDER       a run's folder; of a sweep's folder the finished runs' mean is taken
  input=FILE       CSV, or Parquet by its ending; - is standard input
  output=FILE      its rows, in their order, with all their columns and a column `prediction`;
                   CSV, or Parquet by its ending; - is standard output
  overwrite=true   the output may exist
  escape_formulas=true
                   puts a ' before text in CSV that a spreadsheet would run as a formula
"""

from pathlib import Path

from mlplab.cli import Arguments, Text, command, heavy_imports


class Predict(Arguments):
    """What predict is told."""

    run: Text
    input: Text
    output: Text
    overwrite: bool = False
    escape_formulas: bool = False


def predict(arguments: Predict) -> None:
    """Writes the output file."""
    with heavy_imports():
        import torch

        from mlplab.runs.predict import predict

    torch.set_num_threads(1)
    predict(
        Path(arguments.run),
        arguments.input,
        arguments.output,
        overwrite=arguments.overwrite,
        escape_formulas=arguments.escape_formulas,
    )


if __name__ == "__main__":
    command(predict, Predict, __doc__)
