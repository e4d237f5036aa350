"""The page beside a model: what goes in, what comes out, how good it is, and how to run it."""

import onnx
from onnx import helper

from mlplab.data.cells.dates import ISO, NAME_FORMATS
from mlplab.data.schema import Schema
from mlplab.errors import listed
from mlplab.onnx.check import Check
from mlplab.onnx.inputs import NO_DATE
from mlplab.runs.trained.card import known_values, markdown_table, page, summary, test_scores
from mlplab.runs.trained.ensemble import Ensemble

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
    """The page of a model.

    Args:
        name: of its file.
    """
    inputs, outputs = model.graph.input, model.graph.output
    about = (
        "One-dimensional arrays of the same length, one for each column. Large tables: 1,000 rows at a time."
    )
    head = "type", "what it is"
    remains = [f"- {line}" for line in known_values(ensemble)]
    return page(
        summary(name, ensemble),
        ["## Inputs", "", about, "", *markdown_table(("input", *head), map(_described, inputs))],
        ["## Outputs", "", *markdown_table(("output", *head), map(_described, outputs))],
        test_scores(ensemble),
        ["## Check", "", f"In ONNX Runtime, {check}."],
        ["## What the model contains of the table", "", "No rows, but:", "", *remains],
        ["## Example", "", "```python", *_example(name, model, ensemble.schema), "```"],
    )


def _described(value: onnx.ValueInfoProto) -> tuple[str, str, str]:
    several = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim][1:]
    return f"`{value.name}`", _type(value) + (f" × {several[0]}" if several else ""), value.doc_string


def _type(value: onnx.ValueInfoProto) -> str:
    """The name of its type in numpy; strings are arrays of the type `object`."""
    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name.replace("object", "string")


def _example(name: str, model: onnx.ModelProto, schema: Schema) -> list[str]:
    inputs, output = model.graph.input, model.graph.output[0].name
    written = [column.name for column in schema.inputs if column.format not in ("", ISO, *NAME_FORMATS)]
    kinds = set(map(_type, inputs))
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
        *(
            [f"# First make numbers or times of the text in {listed(map(repr, written), 9)}."]
            if written
            else []
        ),
        "inputs = {}",
        "for column in session.get_inputs():",
        "    cells = table[column.name]",
        *cases,
        "names = [output.name for output in session.get_outputs()]",
        "outputs = dict(zip(names, session.run(None, inputs)))",
        f"print(outputs[{output!r}][:3])",
    ]
