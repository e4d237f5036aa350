"""A model beside the networks that it was made of: the check on rows of a table, and the page about it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import polars as pl
from onnx import helper

from mlplab.config.data import OR
from mlplab.config.metrics import main_scores, metrics_among
from mlplab.conformal.intervals import Levels
from mlplab.console import in_digits, plural
from mlplab.data.cells.dates import CLOCK_FORMATS, ISO
from mlplab.data.cells.parse import named
from mlplab.data.schema import Schema
from mlplab.errors import listed, refusal
from mlplab.onnx.model import probabilities_name
from mlplab.onnx.raw_columns import NO_DATE, input_type, model_inputs
from mlplab.pages import load_template
from mlplab.runs.predictions import column_names
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.load import contained_values
from mlplab.training.scoring.mean_predictions import Predicted

# The largest difference of a probability, or of a number in units of the target's standard deviation.
TOLERANCE = 1e-4

ROUNDING = 4  # units in the last place that are no difference: a target may be much larger than it varies

MOST_ROWS = 1000  # that are compared, each a second time without some of its cells

MISSING = 0.1  # the share of cells that it lacks then


class Check(NamedTuple):
    """The largest difference that the comparison found, and a sentence that says it."""

    difference: float
    sentence: str


def check_model(
    model: bytes, ensemble: Ensemble, rows: pl.DataFrame, levels: Levels = (), *, decimal_comma: bool = False
) -> Check:
    """Compares the predictions of a sample of rows, and of the same rows with missing cells.

    Args:
        levels: as in `onnx_model`.

    Raises:
        UserError: if they differ by more than `TOLERANCE`, or the rows do not match the network's columns.
    """
    schema, sample = ensemble.schema, rows.sample(min(MOST_ROWS, rows.height), seed=0)
    present = np.random.default_rng(0).random((sample.width, sample.height)) >= MISSING
    drawn = zip(present, sample.columns, strict=True)
    with_missing_cells = sample.select(pl.when(pl.Series(column)).then(named(name)) for column, name in drawn)
    compared = pl.concat([sample, with_missing_cells])
    x = ensemble.transformer("rows", decimal_comma=decimal_comma).features(compared)
    mean, _ = ensemble.predict_features(x, rows_before=0)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = model_inputs(schema, compared, decimal_comma=decimal_comma)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, inputs), strict=True))
    difference = float(np.max([*_differences(ensemble, mean, outputs, levels)]))
    noun = "probabilities" if schema.classes else "predictions"
    unit = "" if schema.classes else " of the target's standard deviation"
    rows_compared = f"on {plural(sample.height, 'row')} of a table, as they are and with missing cells"
    sentence = f"{rows_compared}, the largest difference from the networks' {noun} is {difference:.0e}{unit}"
    if not difference <= TOLERANCE:  # as NaN is
        what = f"does not predict as its network does, up to {TOLERANCE:g}: {sentence}"
        raise refusal(what, "the ONNX model", "use mlplab predict")
    return Check(difference, sentence)


def _differences(
    ensemble: Ensemble, mean: Predicted, outputs: Mapping[str, np.ndarray], levels: Levels
) -> Iterator[float]:
    """The largest difference of each output, in units of its target's standard deviation.

    Of classes, that of a probability, and the shares of rows whose label or set contradicts these.
    """
    if ensemble.schema.classes:
        probabilities = outputs[probabilities_name(ensemble.schema)]
        yield float(np.abs(probabilities - mean).max())
        label, *_ = ensemble.columns((probabilities, probabilities[:, :0]), ensemble.threshold)
        yield float(np.mean(outputs[label.name] != label.to_numpy()))
        for name, level in zip(column_names(ensemble.schema, sets=levels).sets, levels, strict=True):
            yield float(np.mean(outputs[name] != ensemble.uncertainty.sets(probabilities, level)))
        return
    # In training, or of these predictions, if it is larger. The network knows the first, of a log target as a
    # part of its size.
    points, first = ensemble.points(mean), ensemble.runs[0]
    sd, size = first.state["preprocessing.target_transform.std"][0, 0].numpy(), np.abs(points).mean(0)
    known = {"standard": sd, "log": sd * size, "none": np.zeros_like(sd)}
    units = np.maximum(points.std(0), known[first.models[0].preprocessing.target])
    units = np.where(units > 0, units, np.where(size > 0, size, 1))
    of_points, of_limits = len(units) + len(ensemble.quantiles), np.tile(units.repeat(2), len(levels))
    columns = ensemble.columns((mean, mean[:, :0]), ensemble.threshold, levels)
    for column, unit in zip(columns, [*np.resize(units, of_points), *of_limits], strict=True):
        expected = column.to_numpy()
        difference = np.abs(outputs[column.name] - expected) - ROUNDING * np.spacing(np.abs(expected))
        yield float(difference.clip(min=0).max() / unit)


def model_card(name: str, model: onnx.ModelProto, ensemble: Ensemble, check: str) -> str:
    """The page of a model: what goes in, what comes out, how good it is, and how to run it.

    Args:
        name: of its file.
        check: how it compares with its networks.
    """
    inputs, outputs = model.graph.input, model.graph.output
    return load_template(Path(__file__).parent / "model.md.jinja").render(
        name=name,
        targets=listed(ensemble.schema.targets),
        columns=plural(len(ensemble.schema.inputs), "column"),
        networks=plural(ensemble.networks, "network"),
        version=version("mlplab"),
        scores=_test_scores(ensemble),
        contained=contained_values(ensemble, kind="model", seen=False),
        inputs=map(_described, inputs),
        outputs=map(_described, outputs),
        check=check,
        types=set(map(_type, inputs)),
        no_date=NO_DATE,
        dates=dict(_dates_as_text(ensemble.schema)),
        first=repr(outputs[0].name),
    )


def _dates_as_text(schema: Schema) -> Iterator[tuple[str, str]]:
    """Columns of dates, and how polars reads them from text; it knows no quarters, weeks or mixed formats."""
    for column in schema.inputs:
        is_unknown = re.search(f"%[qGV]|{re.escape(OR)}", column.format)
        if input_type(column) is not np.int64 or is_unknown:
            continue
        text, date_format = f"pl.col({column.name!r})", column.format
        if date_format in CLOCK_FORMATS:
            text, date_format = f"{text}.str.replace('^', '1970-01-01 ')", f"{ISO} {date_format}"
        elif date_format and "%d" not in date_format:  # polars reads no month without a day
            text, date_format = f"({text} + ' 1')", f"{date_format} %d"
        written = "" if date_format in ("", ISO) else repr(date_format)  # ISO may have times
        yield column.name, f"{text}.str.to_datetime({written})"


def _described(value: onnx.ValueInfoProto) -> tuple[str, str, str]:
    several = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim][1:]
    return f"`{value.name}`", _type(value) + (f" × {several[0]}" if several else ""), value.doc_string


def _type(value: onnx.ValueInfoProto) -> str:
    # By its name in numpy, where strings are arrays of the type `object`.
    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name.replace("object", "string")


def _test_scores(ensemble: Ensemble) -> tuple[Sequence[str], list[Sequence[str]]] | None:
    """The test scores of a run and of its baselines as a table; None of several runs, or without a test."""
    metrics, *others = ensemble.metrics
    if others or not (names := metrics_among(metrics, "test/")):
        return None
    return ("", *names), [
        (title, *("–" if value is None else in_digits(value) for value in scores.values()))
        for title, scores in main_scores(metrics).items()
    ]
