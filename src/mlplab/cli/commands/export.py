"""Writes a trained run as an ONNX model, which runs without mlplab: FOLDER/model.onnx.

mlplab export run=FOLDER [interval=0.9]

  run=FOLDER      the folder of a run, or of a sweep, whose runs predict as an ensemble
  runs=best       of a sweep: best, the configuration with the best mean validation metric; all; or N
  interval=0.9    adds the outputs `lower` and `upper`, as mlplab predict does; or 0.8,0.9
  sets=0.9        adds the output `set`: which classes may be the true one; or 0.8,0.9
  data.path=FILE  the model is checked on these rows instead of those of the run's table

The model takes the columns of a table. FOLDER/model.md describes its inputs and outputs, with an example.
"""

from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated

from pydantic import Field

from mlplab.cli.arguments import Arguments, Text, read_arguments
from mlplab.cli.terminal import log_loading, print_usage
from mlplab.config.types import Levels
from mlplab.console import wrapped
from mlplab.imports import check_installed, heavy_imports
from mlplab.typed_commands import inside


class Export(Arguments):
    """The arguments of export."""

    run: Text
    runs: Text = "best"
    data_path: Annotated[Text | None, Field(alias="data.path")] = None
    interval: Levels = ()
    sets: Levels = ()


def main(words: Sequence[str]) -> None:
    """Writes the model and the page about it, and prints their paths."""
    print_usage(words, __doc__)
    arguments: Export = read_arguments(words, Export)
    check_installed("mlplab export", "onnx", "onnx", "onnxruntime")
    log_loading(f"torch and {arguments.run}")
    with heavy_imports():
        import torch

        from mlplab.commands.export import export

    torch.set_num_threads(1)
    options = arguments.model_dump(exclude={"run", "data_path"})
    exported = export(Path(arguments.run), arguments.data_path, **options)
    size = exported.model.stat().st_size / 1e6
    lines = [
        f"model: {inside(exported.model)} ({size:.1f} MB)",
        f"its inputs and outputs, and an example: {inside(exported.card)}",
        f"checked: {exported.check}",
    ]
    print("\n".join(wrapped(line, get_terminal_size().columns) for line in lines))
