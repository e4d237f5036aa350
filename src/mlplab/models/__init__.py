"""Networks with a leading member axis: K independent networks in one, each with its own seed.

A new layer is a module in `layers/`: its parameters, its formula, and the derivative of it. Its
formula in ONNX is in `mlplab.onnx.layers`. One test compares the three, for all layers.
"""

from mlplab.models.layers.dropout import Dropout as Dropout
from mlplab.models.layers.linear import Linear as Linear
from mlplab.models.layers.norm import LayerNorm as LayerNorm
from mlplab.models.mlp import MLP as MLP
from mlplab.models.network import Network as Network
from mlplab.models.network import build_network as build_network
from mlplab.models.network_plan import FeatureLayout as FeatureLayout
from mlplab.models.network_plan import NetworkPlan as NetworkPlan
from mlplab.models.preprocessing import Preprocessing as Preprocessing
