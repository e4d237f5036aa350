"""Networks with a leading member axis: K independent networks in one, each with its own seed.

A new layer is a file with a module: its parameters, its formula, and the derivative of it.
"""

from mlplab.models.dropout import Dropout
from mlplab.models.layer_norm import LayerNorm
from mlplab.models.linear import Linear
from mlplab.models.mlp import MLP
from mlplab.models.network import Network, ParameterKind, build_network, parameter_kinds
from mlplab.models.preprocessing import FeatureLayout, Preprocessing

__all__ = [
    "MLP",
    "Dropout",
    "FeatureLayout",
    "LayerNorm",
    "Linear",
    "Network",
    "ParameterKind",
    "Preprocessing",
    "build_network",
    "parameter_kinds",
]
