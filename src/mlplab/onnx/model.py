"""The ONNX model of trained runs: raw columns in, predictions out."""

import json

import numpy as np
import onnx

from mlplab.conformal.intervals import Levels
from mlplab.onnx.graph import Graph, Value
from mlplab.onnx.inputs import features_of
from mlplab.onnx.layers import apply
from mlplab.onnx.outputs import predictions, write_classes, write_numbers
from mlplab.onnx.preprocessing import preprocess
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
        columns, linear = preprocess(graph, features, network)
        predicted = predictions(apply(network.body, columns.unsqueeze(1)), linear, network)
        weights, left = np.split(left, [len(network.preprocessing.impute_value)])
        parts.append(predicted.squeeze(0) if networks == 1 else (predicted * weights).sum(0))
    write = write_classes if ensemble.schema.classes else write_numbers
    write(graph, ensemble, sum(parts[1:], parts[0]), levels)
    names = {"targets": ensemble.schema.targets, "classes": ensemble.schema.classes}
    return graph.model({key: json.dumps(values) for key, values in names.items() if values})
