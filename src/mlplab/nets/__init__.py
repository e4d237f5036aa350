"""Networks with a leading member axis: K independent networks in one, each with its own seed."""

from mlplab.nets.encoder import Encoder, build_encoder
from mlplab.nets.layers import BatchNorm, Dropout, LayerNorm, Linear
from mlplab.nets.layout import Layout, encoded_width
from mlplab.nets.mlp import MLP
from mlplab.nets.network import Network, build_network

__all__ = [
    "MLP",
    "BatchNorm",
    "Dropout",
    "Encoder",
    "LayerNorm",
    "Layout",
    "Linear",
    "Network",
    "build_encoder",
    "build_network",
    "encoded_width",
]
