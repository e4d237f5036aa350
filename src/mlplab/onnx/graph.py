"""An ONNX graph, written like formulas of numpy."""

from collections.abc import Mapping, Sequence
from functools import partialmethod
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from torch import Tensor

# Versions of the operators (of `ai.onnx.ml`, for strings); onnxruntime has them since 1.17.
OPSET, ML_OPSET = 20, 3

# Operators that onnxruntime does not have in float64.
FLOAT32_ONLY = {"Elu", "Gelu", "LeakyRelu", "Mish", "Selu"}

# The type of values; that of strings is `object`.
DType = np.dtype[Any] | type[Any]


class Value:
    """A tensor of a graph. Its operators broadcast like numpy's."""

    def __init__(self, graph: "Graph", name: str, dtype: DType) -> None:
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def op(self, kind: str, *others: "Operand", dtype: DType | None = None, **attributes: Any) -> "Value":
        """The first result of an operator, whose first argument is this tensor; numbers get its type."""
        if kind in FLOAT32_ONLY and self.dtype == np.float64:
            return self.cast(np.float32).op(kind, *others, **attributes).cast(np.float64)
        types = (self.dtype if isinstance(each, int | float) else None for each in others)
        operands = [self, *map(self.graph.constant, others, types)]
        names = [self.graph.new_name(kind) for _ in range(2 if kind == "TopK" else 1)]
        node = helper.make_node(kind, [each.name for each in operands], names, **attributes)
        self.graph.nodes.append(node)
        return Value(self.graph, names[0], dtype or self.dtype)

    def cast(self, dtype: DType) -> "Value":
        """These values as another type."""
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self if self.dtype == dtype else self.op("Cast", dtype=dtype, to=to)

    def part(self, start: int, end: int, axis: int) -> "Value":
        """Consecutive slices of an axis."""
        return self.op("Slice", *(np.array([each]) for each in (start, end, axis)))

    def unsqueeze(self, *axes: int) -> "Value":
        """With new axes of size 1."""
        return self.op("Unsqueeze", np.array(axes))

    def squeeze(self, *axes: int) -> "Value":
        """Without these axes of size 1."""
        return self.op("Squeeze", np.array(axes))

    def clamp(self, lowest: "Operand", highest: "Operand") -> "Value":
        """Within these limits."""
        return self.op("Max", lowest).op("Min", highest)

    def over(self, axis: int, reduction: str) -> "Value":
        """The `Sum`, `Mean`, `LogSumExp` … over an axis, which is left out."""
        return self.op(f"Reduce{reduction}", np.array([axis]), keepdims=0)

    def where(self, then: "Operand", otherwise: "Operand") -> "Value":
        """One of two values, of which one at least is no constant, by this condition."""
        [dtype, *_] = (each.dtype for each in (then, otherwise) if isinstance(each, Value))
        values = (self.graph.constant(each, dtype) for each in (then, otherwise))
        return self.op("Where", *values, dtype=dtype)

    def interp(self, knots: np.ndarray, values: np.ndarray) -> "Value":
        """Linear between ascending knots, with these values there, and constant beyond: `numpy.interp`."""
        widths = np.diff(knots).clip(min=np.finfo(float).tiny)
        rises = ((self.unsqueeze(1) - knots[:-1]) / widths).clamp(0, 1) * np.diff(values)
        return rises.over(1, "Sum") + values[0]

    gather = partialmethod(op, "Gather")
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


def concat(values: Sequence[Value], axis: int) -> Value:
    """The values one after another along an axis."""
    return values[0].op("Concat", *values[1:], axis=axis) if len(values) > 1 else values[0]


class Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self.nodes, self.constants = list[onnx.NodeProto](), list[onnx.TensorProto]()
        self.inputs, self.outputs = list[onnx.ValueInfoProto](), list[onnx.ValueInfoProto]()
        self._names = set[str]()

    def input(self, name: str, dtype: DType, meaning: str) -> Value:
        """A value for each row. All inputs come before the first operator, whose names then avoid theirs."""
        self._names.add(name)
        self.inputs.append(_described(name, dtype, meaning))
        return Value(self, name, dtype)

    def output(self, name: str, value: Value, meaning: str, *columns: int) -> None:
        """Names a result: a value for each row, or a number of columns of them."""
        self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        self.outputs.append(_described(name, value.dtype, meaning, *columns))

    def constant(self, value: Operand, dtype: DType | None = None) -> Value:
        """A tensor that is part of the model."""
        if isinstance(value, Value):
            return value
        array = np.ascontiguousarray(value.detach().numpy() if isinstance(value, Tensor) else value, dtype)
        name = self.new_name("constant")
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return Value(self, name, array.dtype)

    def new_name(self, kind: str) -> str:
        """A name that no other value has."""
        name = f"{kind}_{len(self._names)}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def model(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The complete model."""
        graph = helper.make_graph(self.nodes, "mlplab", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="mlplab")
        model.producer_version = version("mlplab")
        model.ir_version = helper.find_min_ir_version_for(opsets)
        helper.set_model_props(model, dict(metadata))
        return model


def _described(name: str, dtype: DType, meaning: str, *columns: int) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))  # the number of rows is known when it runs
    return helper.make_tensor_value_info(name, kind, ["row", *columns], doc_string=meaning)
