"""The page beside a model: what goes in, what comes out, how good it is, and how to run it."""

from pathlib import Path

import onnx
from onnx import helper

from mlplab.onnx.check import Check
from mlplab.onnx.inputs import NO_DATE
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.load import page


def model_card(name: str, model: onnx.ModelProto, ensemble: Ensemble, check: Check) -> str:
    """The page of a model.

    Args:
        name: of its file.
    """
    inputs, outputs = model.graph.input, model.graph.output
    return page(
        Path(__file__).parent / "template" / "model.md.jinja",
        ensemble,
        name=name,
        kind="model",
        inputs=map(_described, inputs),
        outputs=map(_described, outputs),
        check=check.sentence,
        types=set(map(_type, inputs)),
        no_date=NO_DATE,
        first=repr(outputs[0].name),
    )


def _described(value: onnx.ValueInfoProto) -> tuple[str, str, str]:
    several = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim][1:]
    return f"`{value.name}`", _type(value) + (f" × {several[0]}" if several else ""), value.doc_string


def _type(value: onnx.ValueInfoProto) -> str:
    """The name of its type in numpy; strings are arrays of the type `object`."""
    return helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name.replace("object", "string")
