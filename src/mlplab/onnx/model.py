"""The ONNX model of trained runs: raw columns in, predictions, limits, classes and their sets out."""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import onnx
from jaxtyping import Float64

from mlplab.config.loss import MEDIAN
from mlplab.conformal.intervals import Levels, nearest
from mlplab.conformal.residual_quantiles import Residuals
from mlplab.data.schema import Schema
from mlplab.errors import listed
from mlplab.models.network import Network
from mlplab.models.targets import ClassProbabilities
from mlplab.onnx.graph import Graph, Value, concat
from mlplab.onnx.layers import apply
from mlplab.onnx.preprocessing import preprocess
from mlplab.onnx.raw_columns import features_of
from mlplab.runs.predictions import column_names, known_names, unused_names
from mlplab.runs.trained.ensemble import Ensemble


def onnx_model(ensemble: Ensemble, levels: Levels = ()) -> onnx.ModelProto:
    """The model of all networks of an ensemble; its metadata name the `targets` and `classes`, in JSON.

    Args:
        levels: of the intervals, or of the prediction sets of classes, that it has as outputs.

    Raises:
        UserError: if a network has a layer that ONNX cannot express.
    """
    graph = Graph()
    features = features_of(graph, ensemble.schema)
    parts, left, networks = list[Value](), ensemble.network_weights[:, None, None], ensemble.networks
    for stack in ensemble.stacks:
        network = stack.whole_network()
        columns, linear = preprocess(*features, network)
        predicted = predictions(apply(network.body, columns.unsqueeze(1)), linear, network)
        weights, left = np.split(left, [len(network.preprocessing.impute_value)])
        parts.append(predicted.squeeze(0) if networks == 1 else (predicted * weights).over(0, "Sum"))
    write = write_classes if ensemble.schema.classes else write_numbers
    write(graph, ensemble, sum(parts[1:], parts[0]), levels)
    names = {"targets": ensemble.schema.targets, "classes": ensemble.schema.classes}
    return graph.model({key: json.dumps(values) for key, values in names.items() if values})


def probabilities_name(schema: Schema) -> str:
    """The name of the output with the probabilities of all classes."""
    return unused_names(["probabilities"], known_names(schema))[0]


def predictions(z: Value, linear: Value | None, network: Network) -> Value:
    """What networks predict, `[member, row, output]` in float64: targets in their units, or probabilities.

    Args:
        z: the output of the body, `[member, head, row, output]`.
        linear: that of the linear path, if there is one.
    """
    target, heads, path = network.preprocessing.target_transform, network.heads, network.linear_path
    if heads == 1:
        z = z.squeeze(1)
    elif isinstance(target, ClassProbabilities):
        z = z.op("LogSoftmax", axis=3).over(1, "LogSumExp") - math.log(heads)
    else:
        z = z.over(1, "Mean")
    z = z.cast(np.float64)
    if linear is not None and path is not None:
        z = z * (1 - path.share) + linear * (path.residual + path.share - path.residual * path.share)
    if isinstance(target, ClassProbabilities):
        return (z / target.temperature).op("Softmax", axis=2)
    values = z * target.std + target.mean
    values = _ascending(values, target.outputs, 2) if target.quantiles else values
    values = values.op("Exp") if target.log else values
    if target.minimum is not None and target.maximum is not None:
        values = values.clamp(target.minimum, target.maximum)
    return values


def write_classes(graph: Graph, ensemble: Ensemble, mean: Value, sets: Levels) -> None:
    """Names the outputs: the columns that `mlplab predict` adds, but all probabilities in one, and each set.

    Args:
        mean: the mean prediction of all networks, `[row, class]`.
        sets: the levels of prediction sets.
    """
    schema, classes = ensemble.schema, len(ensemble.schema.classes)
    number = mean.op("ArgMax", axis=1, keepdims=0, dtype=np.int64)
    if classes == 2:
        number = (_column(mean, 1) >= ensemble.threshold).cast(np.int64)
    names = column_names(schema, sets=sets)
    label = graph.constant(ensemble.classes).gather(number)
    graph.output(names.predictions[0], label, f"the class of {schema.targets[0]}")
    meaning = f"of the classes in order: {listed(schema.classes, classes)}"
    graph.output(probabilities_name(schema), mean, meaning, classes)
    for name, level in zip(names.sets, sets, strict=True):
        lowest = mean.over(1, "Max").op("Min", ensemble.uncertainty.lowest_probability(level)).unsqueeze(1)
        meaning = f"which classes may be the true one, with a probability of {level:.5g}"
        graph.output(name, mean >= lowest, meaning, classes)


def write_numbers(graph: Graph, ensemble: Ensemble, mean: Value, intervals: Levels) -> None:
    """Names the outputs: the columns that `mlplab predict` adds.

    Args:
        mean: the mean prediction of all networks, `[row, output]`.
        intervals: their levels.
    """
    schema, levels = ensemble.schema, ensemble.quantiles
    targets = len(schema.targets)
    points = [_column(mean, place) for place in range(len(levels) or targets)]
    if levels:
        of_runs = (_corrected(run.residuals, points, levels) for run in ensemble.runs)
        corrected = _weighted_sum(of_runs, ensemble.weights)
        quantiles = [_column(corrected, place) for place in range(len(levels))]
        points = [quantiles[levels.index(MEDIAN)], *quantiles]
    meanings = [f"{target}, in its own units" for target in schema.targets]
    meanings += [f"the quantile of level {level:g} of {schema.targets[0]}" for level in levels]
    names = column_names(schema, levels, intervals)
    for name, point, meaning in zip(names.predictions, points, meanings, strict=True):
        graph.output(name, point, meaning)
    limits = product(intervals, range(targets), {"below": -1, "above": 1}.items())
    for name, (level, place, (side, sign)) in zip(names.limits, limits, strict=True):
        share = (1 + sign * level) / 2
        if levels:
            limit = quantiles[nearest(levels, share)]
        else:
            of_runs = (_quantile(run.residuals[place], points[place], share) for run in ensemble.runs)
            limit = _weighted_sum(of_runs, ensemble.weights)
        meaning = f"{schema.targets[place]} is {side} it with a probability of {(1 - level) / 2:.5g}"
        graph.output(name, limit, meaning)


def _weighted_sum(parts: Iterable[Value], weights: Float64[np.ndarray, " part"]) -> Value:
    [first, *others] = [part * weight for part, weight in zip(parts, weights.tolist(), strict=True)]
    return sum(others, first)


def _corrected(residuals: Sequence[Residuals], points: Sequence[Value], levels: Levels) -> Value:
    if residuals:
        points = [_quantile(*each) for each in zip(residuals, points, levels, strict=True)]
    return _ascending(concat([each.unsqueeze(1) for each in points], 1), len(levels), 1)


def _quantile(residuals: Residuals, predicted: Value, share: float) -> Value:
    scale = predicted.interp(residuals.predicted, residuals.scale)
    limit: Value = residuals.limit(predicted, scale, share)
    return limit


def _ascending(values: Value, count: int, axis: int) -> Value:
    return values.op("TopK", np.array([count]), axis=axis, largest=0)


def _column(values: Value, place: int) -> Value:
    return values.gather(np.array(place), axis=1)
