"""Networks with a leading member axis: K independent networks in one, each with its own seed.

A new layer is a file in `layers/` with a module: its parameters, its formula, and the derivative of it.
"""

from mlplab.models.feature_layout import FeatureLayout
from mlplab.models.layers.dropout import Dropout
from mlplab.models.layers.layer_norm import LayerNorm
from mlplab.models.layers.linear import Linear
from mlplab.models.mlp import MLP
from mlplab.models.network import Network, ParameterKind, build_network, parameter_kinds
from mlplab.models.network_plan import NetworkPlan
from mlplab.models.preprocessing import Preprocessing

__all__ = [
    "MLP",
    "Dropout",
    "FeatureLayout",
    "LayerNorm",
    "Linear",
    "Network",
    "NetworkPlan",
    "ParameterKind",
    "Preprocessing",
    "build_network",
    "parameter_kinds",
]
