"""An ONNX graph, written like formulas of numpy."""

from collections.abc import Mapping, Sequence
from functools import partialmethod
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from torch import Tensor

OPSET, ML_OPSET = 20, 3
"""Versions of the operators (of `ai.onnx.ml`, for strings); onnxruntime has them since 1.17."""

ROW = "row"
"""The name of the dimension whose size is known when the model runs."""

FLOAT32_ONLY = {"Elu", "Gelu", "LeakyRelu", "Mish", "Selu"}
"""Operators that onnxruntime does not have in float64."""

DType = np.dtype[Any] | type[Any]
"""The type of values; that of strings is `object`."""


class Value:
    """A tensor of a graph. Its operators broadcast like numpy's."""

    def __init__(self, graph: "Graph", name: str, dtype: DType) -> None:
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def op(self, kind: str, *others: "Operand", dtype: DType | None = None, **attributes: Any) -> "Value":
        """The first result of an operator, whose first argument is this tensor; numbers get its type."""
        if kind in FLOAT32_ONLY and self.dtype == np.float64:
            return self.cast(np.float32).op(kind, *others, **attributes).cast(np.float64)
        operands = [np.array(each, self.dtype) if isinstance(each, int | float) else each for each in others]
        return self.graph.op(kind, [self, *operands], dtype or self.dtype, **attributes)

    def cast(self, dtype: DType) -> "Value":
        """These values as another type."""
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self if self.dtype == dtype else self.op("Cast", dtype=dtype, to=to)

    def gather(self, places: "Operand", axis: int = 0) -> "Value":
        """The slices at these places of an axis."""
        return self.op("Gather", places, axis=axis)

    def part(self, start: int, end: int, axis: int) -> "Value":
        """Consecutive slices of an axis."""
        return self.op("Slice", *(np.array([each]) for each in (start, end, axis)))

    def transpose(self, *axes: int) -> "Value":
        """With the axes in another order."""
        return self.op("Transpose", perm=axes)

    def unsqueeze(self, *axes: int) -> "Value":
        """With new axes of size 1."""
        return self.op("Unsqueeze", np.array(axes))

    def squeeze(self, *axes: int) -> "Value":
        """Without these axes of size 1."""
        return self.op("Squeeze", np.array(axes))

    def clamp(self, lowest: "Operand", highest: "Operand") -> "Value":
        """Within these limits."""
        return self.op("Max", lowest).op("Min", highest)

    def sum(self, axis: int) -> "Value":
        """The sum over an axis, which is left out."""
        return self.op("ReduceSum", np.array([axis]), keepdims=0)

    def where(self, then: "Operand", otherwise: "Operand") -> "Value":
        """One of two values, of which one at least is no constant, by this condition."""
        [dtype, *_] = (each.dtype for each in (then, otherwise) if isinstance(each, Value))
        values = (self.graph.constant(each, dtype) for each in (then, otherwise))
        return self.op("Where", *values, dtype=dtype)

    def interp(self, knots: np.ndarray, values: np.ndarray) -> "Value":
        """Linear between ascending knots, with these values there, and constant beyond: `numpy.interp`."""
        widths = np.diff(knots).clip(min=np.finfo(float).tiny)
        rises = ((self.unsqueeze(1) - knots[:-1]) / widths).clamp(0, 1) * np.diff(values)
        return rises.sum(1) + values[0]

    equals = partialmethod(op, "Equal", dtype=np.bool_)
    __add__ = partialmethod(op, "Add")
    __sub__ = partialmethod(op, "Sub")
    __mul__ = partialmethod(op, "Mul")
    __truediv__ = partialmethod(op, "Div")
    __matmul__ = partialmethod(op, "MatMul")
    __abs__ = partialmethod(op, "Abs")
    __lt__ = partialmethod(op, "Less", dtype=np.bool_)
    __le__ = partialmethod(op, "LessOrEqual", dtype=np.bool_)
    __gt__ = partialmethod(op, "Greater", dtype=np.bool_)
    __ge__ = partialmethod(op, "GreaterOrEqual", dtype=np.bool_)


Operand = Value | Tensor | np.ndarray | float | int


class Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self.nodes, self.constants = list[onnx.NodeProto](), list[onnx.TensorProto]()
        self.inputs, self.outputs = list[onnx.ValueInfoProto](), list[onnx.ValueInfoProto]()
        self._names = set[str]()

    def input(self, name: str, dtype: DType, meaning: str) -> Value:
        """A value for each row. All inputs come before the first operator, whose names then avoid theirs."""
        self._names.add(name)
        self.inputs.append(_described(name, dtype, [ROW], meaning))
        return Value(self, name, dtype)

    def output(self, name: str, value: Value, meaning: str, *, columns: int | None = None) -> None:
        """Names a result: a value for each row, or several columns of them."""
        self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        shape: list[int | str] = [ROW, *([] if columns is None else [columns])]
        self.outputs.append(_described(name, value.dtype, shape, meaning))

    def constant(self, value: "Operand", dtype: DType | None = None) -> Value:
        """A tensor that is part of the model."""
        if isinstance(value, Value):
            return value
        array = np.ascontiguousarray(value.detach().numpy() if isinstance(value, Tensor) else value, dtype)
        name = self._new("constant")
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return Value(self, name, array.dtype)

    def op(self, kind: str, operands: Sequence[Operand], dtype: DType, **attributes: Any) -> Value:
        """The first result of an operator."""
        names, name = [self.constant(each).name for each in operands], self._new(kind)
        unused = [self._new(kind)] if kind == "TopK" else []
        self.nodes.append(helper.make_node(kind, names, [name, *unused], **attributes))
        return Value(self, name, dtype)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """The values one after another along an axis."""
        return values[0] if len(values) == 1 else self.op("Concat", values, values[0].dtype, axis=axis)

    def model(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The complete model."""
        graph = helper.make_graph(self.nodes, "mlplab", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="mlplab")
        model.producer_version = version("mlplab")
        model.ir_version = helper.find_min_ir_version_for(opsets)
        helper.set_model_props(model, dict(metadata))
        return model

    def _new(self, kind: str) -> str:
        name = f"{kind}_{len(self._names)}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def _described(name: str, dtype: DType, shape: Sequence[int | str], meaning: str) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, shape, doc_string=meaning)
