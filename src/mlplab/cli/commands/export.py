"""Writes a trained run as an ONNX model, which runs without mlplab, or as one file for mlplab.

mlplab export run=FOLDER [interval=0.9]
mlplab export run=FOLDER output=price.mlplab

  run=FOLDER      the folder of a run, or of a sweep, whose runs predict as an ensemble
  runs=best       of a sweep: best, the configuration with the best mean validation metric; all; or N
  output=FILE     by default FOLDER/model.onnx, or NAME.onnx of a file; a page beside it (.md) describes its
                  inputs and outputs. NAME.mlplab is one file for run= of all commands, without rows of
                  the table
  overwrite=true  replaces an existing output
  interval=0.9    of ONNX: adds the outputs `lower` and `upper`, as mlplab predict does; or 0.8,0.9
  sets=0.9        of ONNX: adds the output `set`, which classes may be the true one; or 0.8,0.9
  data.path=FILE  of ONNX: the model is checked on these rows instead of those of the run's table
  seen=true       of NAME.mlplab: adds hashes of the rows in training, which mlplab evaluate then leaves out
"""

from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size

from mlplab.cli.arguments import read_arguments
from mlplab.cli.terminal import log_loading
from mlplab.commands.arguments import Export
from mlplab.console import wrapped
from mlplab.errors import refusal
from mlplab.imports import check_installed, heavy_imports
from mlplab.runs.run_file import SUFFIX
from mlplab.typed_commands import inside


def main(words: Sequence[str]) -> None:
    """Writes the file, and prints what it is.

    Raises:
        UserError: if an argument is not one of this kind of file.
    """
    arguments = read_arguments(words, Export, __doc__)
    kinds = {".onnx": _onnx, SUFFIX: _file}
    if not (write := kinds.get(Path(arguments.output or "model.onnx").suffix)):
        raise refusal("is of an unknown kind", f"output={arguments.output}", "give a .onnx or .mlplab file")
    print("\n".join(wrapped(line, get_terminal_size().columns) for line in write(arguments)))


def _onnx(arguments: Export) -> list[str]:
    _refuse(arguments, {"seen"}, "files of mlplab: output=NAME.mlplab")
    check_installed("mlplab export", "onnx", "onnx", "onnxruntime")
    log_loading(f"torch and {arguments.run}")
    with heavy_imports():
        import torch

        from mlplab.commands.export import export

    torch.set_num_threads(1)
    model, check = export(arguments)
    card = inside(model.with_suffix(".md"))
    return [
        f"model: {_with_size(model)}",
        f"its inputs and outputs, and an example: {card}",
        f"checked: {check}",
    ]


def _file(arguments: Export) -> list[str]:
    _refuse(arguments, {"interval", "sets", "data_path"}, "ONNX models: output=NAME.onnx")
    log_loading(f"torch and {arguments.run}")
    with heavy_imports():
        from mlplab.runs.trained.load import contained_values, load_runs, save

    output, ensemble = Path(str(arguments.output)), load_runs(arguments.run, arguments.runs)
    save(ensemble, output, seen=arguments.seen, overwrite=arguments.overwrite)
    contained = contained_values(ensemble, kind="file", seen=arguments.seen)
    return [f"file: {_with_size(output)}", f"of the table, it contains no rows, but {'; '.join(contained)}"]


def _refuse(arguments: Export, keys: set[str], kind: str) -> None:
    if given := [key.replace("_", ".") for key in sorted(keys & arguments.model_fields_set)]:
        raise refusal(f"is only for {kind}", given[0], f"remove {given[0]}=")


def _with_size(path: Path) -> str:
    return f"{inside(path)} ({path.stat().st_size / 1e6:.2f} MB)"
