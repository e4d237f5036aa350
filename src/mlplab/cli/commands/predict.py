"""Predicts the rows of a file with a trained run.

mlplab predict run=FOLDER input=new.csv output=predictions.csv

  run=FOLDER       the folder of a run, or of a sweep, whose runs predict as an ensemble
  runs=best        of a sweep: best, the configuration with the best mean validation metric; all; or N
  input=FILE       CSV, or Parquet (.parquet, .pq); - is standard input
  output=FILE      the same rows and `prediction`, of classes `probability_<class>`; - is standard output
  threshold=P      predicts the second of two classes from this probability on; by default as in training
  spread=true      adds how far networks disagree: `prediction_sd`, of classes `entropy` and `disagreement`
  interval=0.9     adds `lower` and `upper`, between which numbers are with this probability; or 0.8,0.9
  sets=0.9         adds `set`, the classes of which one is the true class with this probability; or 0.8,0.9
  overwrite=true   replaces an existing output
  escape_formulas=true
                   puts a ' before text that a spreadsheet would interpret as a formula
"""

from collections.abc import Sequence

from mlplab.cli.arguments import read_arguments
from mlplab.cli.terminal import log_loading
from mlplab.commands.arguments import Predict
from mlplab.imports import heavy_imports


def main(words: Sequence[str]) -> None:
    """Writes the output file."""
    arguments = read_arguments(words, Predict, __doc__)
    log_loading(f"torch and {arguments.run}")
    with heavy_imports():
        import torch

        from mlplab.commands.predict import predict

    torch.set_num_threads(1)
    predict(arguments)
