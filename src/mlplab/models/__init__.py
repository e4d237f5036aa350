"""Networks with a leading member axis: K independent networks in one, each with its own seed."""

from mlplab.models.feature_layout import FeatureLayout, preprocessed_width
from mlplab.models.layers import BatchNorm, Dropout, LayerNorm, Linear
from mlplab.models.mlp import MLP
from mlplab.models.network import Network, build_network
from mlplab.models.preprocessing import Preprocessing, build_preprocessing

__all__ = [
    "MLP",
    "BatchNorm",
    "Dropout",
    "FeatureLayout",
    "LayerNorm",
    "Linear",
    "Network",
    "Preprocessing",
    "build_network",
    "build_preprocessing",
    "preprocessed_width",
]
