"""The page beside a model: what goes in, what comes out, how good it is, and how to run it."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import onnx
from onnx import TensorProto

from mlplab.config.metrics import BASELINES, metrics_among
from mlplab.console import in_digits, plural
from mlplab.errors import listed
from mlplab.onnx.check import Check
from mlplab.onnx.inputs import NO_DATE
from mlplab.runs.trained.ensemble import Ensemble

TYPES: dict[int, str] = {
    TensorProto.STRING: "string",
    TensorProto.INT64: "int64",
    TensorProto.DOUBLE: "float64",
    TensorProto.BOOL: "bool",
}
"""The names of types in numpy; strings are arrays of the type `object`."""

CELLS = {
    "string": ("tensor(string)", 'cells.cast(pl.String).fill_null("").to_numpy().astype(object)'),
    "int64": (
        "tensor(int64)",
        f'cells.cast(pl.Datetime("us")).to_physical().fill_null({NO_DATE}).to_numpy()',
    ),
    "float64": ("tensor(double)", "cells.cast(pl.Float64).to_numpy()"),
}
"""By the type of an input: how ONNX Runtime calls it, and code that makes it of a column."""


def model_card(name: str, model: onnx.ModelProto, ensemble: Ensemble, check: Check) -> str:
    """The page of a model in Markdown.

    Args:
        name: of the model's file.
    """
    schema, inputs, outputs = ensemble.schema, model.graph.input, model.graph.output
    return "\n".join(
        [
            f"# {name}",
            "",
            f"Predicts {listed(schema.targets)} from {plural(len(inputs), 'column')}: "
            f"{plural(ensemble.networks, 'network')}, trained by mlplab {version('mlplab')}.",
            "",
            "## Inputs",
            "",
            "One-dimensional arrays of the same length, one for each column. Give large tables in parts of "
            "1,000 rows.",
            "",
            *_table(("input", "type", "what it is"), map(_described, inputs)),
            "",
            "## Outputs",
            "",
            "A value for each row, or several:",
            "",
            *_table(("output", "type", "what it is"), map(_described, outputs)),
            "",
            *_scores(ensemble),
            "## Check",
            "",
            f"In ONNX Runtime, {check}.",
            "",
            "## Example",
            "",
            "```python",
            *_example(name, inputs, outputs[0].name),
            "```",
            "",
            "The model contains the categories of columns, the labels of classes, and means or quantiles of "
            "numbers, but no rows of the table.",
            "",
        ]
    )


def _described(value: onnx.ValueInfoProto) -> tuple[str, str, str]:
    kind = value.type.tensor_type
    several = [dimension.dim_value for dimension in kind.shape.dim][1:]
    name = TYPES[kind.elem_type] + (f" × {several[0]}" if several else "")
    return f"`{value.name}`", name, value.doc_string


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines)
    return [f"| {' | '.join(line)} |" for line in escaped]


def _scores(ensemble: Ensemble) -> list[str]:
    """The test scores of the network and of its baselines; nothing for several runs, or without a test."""
    [metrics, *others] = ensemble.metrics
    if others or not (names := metrics_among(metrics, "test/")):
        return []
    models = {"": "this model", **{f"{key}/": title for key, title in BASELINES[names].items()}}
    rows = [
        (title, *(_score(metrics, f"{prefix}test/{name}") for name in names))
        for prefix, title in models.items()
        if f"{prefix}test/{names[0]}" in metrics
    ]
    about = "On rows that took no part in training or in any choice; errors are in units of the target:"
    return ["## Test scores", "", about, "", *_table(("", *names), rows), ""]


def _score(metrics: Mapping[str, Any], name: str) -> str:
    value = metrics.get(name)
    return "–" if value is None else in_digits(value)


def _example(name: str, inputs: Sequence[onnx.ValueInfoProto], output: str) -> list[str]:
    kinds = {TYPES[each.type.tensor_type.elem_type] for each in inputs}
    cases = [
        line
        for kind, (tensor, code) in CELLS.items()
        if kind in kinds
        for line in (f'    if column.type == "{tensor}":', f"        inputs[column.name] = {code}")
    ]
    return [
        "import onnxruntime",
        "import polars as pl",
        "",
        'table = pl.read_csv("new.csv", try_parse_dates=True)',
        f'session = onnxruntime.InferenceSession("{name}")',
        "inputs = {}",
        "for column in session.get_inputs():",
        "    cells = table[column.name]",
        *cases,
        "names = [output.name for output in session.get_outputs()]",
        "outputs = dict(zip(names, session.run(None, inputs)))",
        f"print(outputs[{output!r}][:3])",
    ]
