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
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mlplab.cli.arguments import OfRuns, Text, read_arguments
from mlplab.cli.terminal import log_loading, print_usage
from mlplab.config.types import Levels
from mlplab.imports import heavy_imports


class Predict(OfRuns):
    """The arguments of predict."""

    input: Text
    output: Text
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    spread: bool = False
    interval: Levels = ()
    sets: Levels = ()
    overwrite: bool = False
    escape_formulas: bool = False


def main(words: Sequence[str]) -> None:
    """Writes the output file."""
    print_usage(words, __doc__)
    arguments: Predict = read_arguments(words, Predict)
    log_loading(f"torch and {arguments.run}")
    with heavy_imports():
        import torch

        from mlplab.commands.predict import predict

    torch.set_num_threads(1)
    options = arguments.model_dump(exclude={"run", "input", "output"})
    predict(Path(arguments.run), arguments.input, arguments.output, **options)
