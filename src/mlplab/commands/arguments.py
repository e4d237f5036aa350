"""The arguments of commands about trained runs. Imports no torch."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mlplab.config.types import Levels, Text


class Arguments(BaseModel):
    """The keys of a command; values come as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Threshold = Annotated[float, Field(ge=0, le=1)] | None
"""The probability from which the second of two classes is predicted; None: as in training."""


def _check_file(name: str) -> str:
    if name.endswith("/"):
        raise ValueError(f"is a folder; give a file in it: output={name}…")
    return name


OutputFile = Annotated[Text, AfterValidator(_check_file)]


class OfRuns(Arguments):
    """The runs that a command is about.

    Attributes:
        run: the folder of a run or a sweep, or the file of a chosen ensemble or of saved runs.
        runs: which runs of a sweep, as in `mlplab.runs.trained.load.load_runs`.
    """

    run: Text
    runs: Text = "best"


class Evaluate(OfRuns):
    """What is scored.

    Attributes:
        data_path: a CSV or Parquet file with the target; None: the runs' own test rows.
        training_rows: whether to keep rows of the file that were in training or validation.
        threshold: by which classes are predicted.
        importance: whether to compute which columns matter, too.
    """

    data_path: Annotated[Text | None, Field(alias="data.path")] = None
    training_rows: Literal["exclude", "include"] = "exclude"
    threshold: Threshold = None
    importance: bool = False


class Predict(OfRuns):
    """What is predicted, and what is written.

    Attributes:
        input: a CSV or Parquet file, or `-` for CSV from standard input; as is `output`.
        threshold: by which classes are predicted.
        missing_columns: whether columns that the input lacks are imputed.
        spread: whether to add columns that say how far the networks disagree.
        interval: levels of intervals, of which to add the limits.
        sets: levels of prediction sets to add.
        overwrite: whether `output` may exist.
        escape_formulas: whether to put a ' before text in CSV that a spreadsheet would take for a formula.
    """

    input: Text
    output: OutputFile
    threshold: Threshold = None
    missing_columns: Literal["refuse", "impute"] = "refuse"
    spread: bool = False
    interval: Levels = ()
    sets: Levels = ()
    overwrite: bool = False
    escape_formulas: bool = False


class Export(OfRuns):
    """The file that is written.

    Attributes:
        output: an ONNX model or a file of mlplab; None: `model.onnx` in the run's folder, replaced, or one
            named as `run`.
        overwrite: whether `output` may exist.
        data_path: of an ONNX model, a CSV or Parquet file, on whose rows it is checked; None: the table.
        interval, sets: of an ONNX model, levels of intervals and prediction sets that are outputs, too.
        seen: of a file of mlplab, whether it has hashes of the rows in training and validation.
    """

    output: OutputFile | None = None
    overwrite: bool = False
    data_path: Annotated[Text | None, Field(alias="data.path")] = None
    interval: Levels = ()
    sets: Levels = ()
    seen: bool = False
