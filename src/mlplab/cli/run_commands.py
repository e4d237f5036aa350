"""The commands about trained runs: their usage and their output."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill

from mlplab.cli.read_arguments import read_arguments
from mlplab.cli.terminal import log_loading
from mlplab.commands.arguments import Evaluate, Export, OfRuns, Predict
from mlplab.console import wrapped
from mlplab.errors import refusal
from mlplab.imports import check_installed, heavy_imports
from mlplab.runs.run_archive import SUFFIX
from mlplab.typed_commands import inside


@contextmanager
def _loading(arguments: OfRuns) -> Iterator[None]:
    log_loading(f"torch and {arguments.run}")
    with heavy_imports():
        import torch

        torch.set_num_threads(1)
        yield


def evaluate(words: Sequence[str]) -> None:
    """Scores a trained run, and writes the scores to FOLDER/evaluation.json.

    mlplab evaluate run=FOLDER [data.path=other.csv] [importance=true]
    mlplab evaluate run=SWEEP runs=5

      run=FOLDER             the folder of a run, or of a sweep, whose runs are also scored as an ensemble
      runs=best              of a sweep: best, the configuration of the best mean validation metric; all; or N
      data.path=FILE         a CSV or Parquet file with the target; without it, the run's own test rows
      training_rows=include  also scores rows of FILE that were in training or validation: then it is no test
      threshold=P            predicts the second of two classes from this probability on; by default as in
                             training
      importance=true        shows which columns matter; writes FOLDER/importance.json and FOLDER/figures
    """
    arguments = read_arguments(words, Evaluate, evaluate.__doc__)
    with _loading(arguments):
        from rich.console import Console

        from mlplab.commands.evaluate import evaluate as score_runs
        from mlplab.commands.importance import print_importance
        from mlplab.commands.render import confusion_table, score_table, verdict
        from mlplab.console import print_line

    console = Console()
    result = score_runs(arguments)
    used = "" if result.threshold is None else f", threshold {result.threshold:g}"
    print_line(console, f"{result.source}: {result.rows} rows{used}")
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


def predict(words: Sequence[str]) -> None:
    """Predicts the rows of a file with a trained run.

    mlplab predict run=FOLDER input=new.csv output=predictions.csv

      run=FOLDER       the folder of a run, or of a sweep, whose runs predict as an ensemble
      runs=best        of a sweep: best, the configuration with the best mean validation metric; all; or N
      input=FILE       CSV, or Parquet (.parquet, .pq); - is standard input
      output=FILE      the same rows and `prediction`, of classes `probability_<class>`; - is standard output
      threshold=P      predicts the second of two classes from this probability on; by default as in training
      missing_columns=impute
                       treats columns that FILE lacks as missing in all rows, instead of refusing it
      spread=true      adds how far networks disagree: `prediction_sd`, of classes `entropy`, `disagreement`
      interval=0.9     adds `lower` and `upper`, between which numbers are with this probability; or 0.8,0.9
      sets=0.9         adds `set`, the classes of which one is true with this probability; or 0.8,0.9
      overwrite=true   replaces an existing output
      escape_formulas=true
                       puts a ' before text that a spreadsheet would interpret as a formula
    """
    arguments = read_arguments(words, Predict, predict.__doc__)
    with _loading(arguments):
        from mlplab.commands.predict import predict as write_predictions

    write_predictions(arguments)


def export(words: Sequence[str]) -> None:
    """Writes a trained run as an ONNX model, which runs without mlplab, or as one file for mlplab.

    mlplab export run=FOLDER [interval=0.9]
    mlplab export run=FOLDER output=price.mlplab

      run=FOLDER      the folder of a run, or of a sweep, whose runs predict as an ensemble
      runs=best       of a sweep: best, the configuration with the best mean validation metric; all; or N
      output=FILE     by default FOLDER/model.onnx, or NAME.onnx of a file; a page beside it (.md) describes
                      its inputs and outputs. NAME.mlplab is one file for run= of all commands, without rows
                      of the table
      overwrite=true  replaces an existing output
      interval=0.9    of ONNX: adds the outputs `lower` and `upper`, as mlplab predict does; or 0.8,0.9
      sets=0.9        of ONNX: adds the output `set`, which classes may be the true one; or 0.8,0.9
      data.path=FILE  of ONNX: the model is checked on these rows instead of those of the run's table
      seen=true       of NAME.mlplab: adds hashes of training rows, which mlplab evaluate then leaves out
    """
    arguments = read_arguments(words, Export, export.__doc__)
    kinds = {".onnx": _onnx, SUFFIX: _file}
    if not (write := kinds.get(Path(arguments.output or "model.onnx").suffix)):
        raise refusal("is of an unknown kind", f"output={arguments.output}", "give a .onnx or .mlplab file")
    print("\n".join(wrapped(line, get_terminal_size().columns) for line in write(arguments)))


def _onnx(arguments: Export) -> list[str]:
    _refuse(arguments, {"seen"}, "files of mlplab: output=NAME.mlplab")
    check_installed("mlplab export", "onnx", "onnx", "onnxruntime")
    with _loading(arguments):
        from mlplab.commands.export import export

    model, check = export(arguments)
    return [
        f"model: {_with_size(model)}",
        f"its inputs and outputs, and an example: {inside(model.with_suffix('.md'))}",
        f"checked: {check}",
    ]


def _file(arguments: Export) -> list[str]:
    _refuse(arguments, {"interval", "sets", "data_path"}, "ONNX models: output=NAME.onnx")
    with _loading(arguments):
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
