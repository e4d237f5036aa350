"""A whole network: preprocessing, body, inverse transform of the target."""

from contextlib import nullcontext

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from mlplab import config
from mlplab.config.allowed_classes import instantiate
from mlplab.errors import Fault, UserError
from mlplab.models.backpropagation import BackpropagationModule, Input, Output
from mlplab.models.layers.heads import mean_of_heads
from mlplab.models.linear_path import LinearPath, build_linear_path
from mlplab.models.mlp import MLP
from mlplab.models.network_plan import NetworkPlan
from mlplab.models.preprocessing import Inputs, Preprocessing
from mlplab.models.targets import ClassProbabilities, Outputs, Prediction
from mlplab.random_streams import SkipInit


class Network(nn.Module):
    """Maps centred columns, with NaN for missing values, to targets in their own units, or to probabilities.

    Args:
        body: maps `[member, batch, feature]` to `[member, batch, output]`: scaled targets, or a logit for
            each class.
        linear_path: a linear model beside the body; None: there is none.
    """

    def __init__(
        self, preprocessing: Preprocessing, body: nn.Module, linear_path: LinearPath | None = None
    ) -> None:
        super().__init__()
        self.preprocessing, self.body, self.linear_path = preprocessing, body, linear_path

    @property
    def heads(self) -> int:
        """The number of the body's predictions of a row."""
        return self.body.heads if isinstance(self.body, BackpropagationModule) else 1

    def forward_heads(self, x: Input) -> Output:
        """Predictions of all heads, on the scale of the loss.

        Only columns with an indicator may have missing values.
        """
        z, inputs = self._forward(x)
        offset = self.offset(inputs)
        return z if offset is None else z + offset

    def offset(self, inputs: Inputs) -> Output | None:
        """What the linear path adds to the output of the body's heads in training; None: nothing."""
        offset = None if self.linear_path is None else self.linear_path.offset(inputs)
        return None if offset is None else offset.repeat_interleave(self.heads, 1)

    def forward_body(self, x: Input) -> tuple[Outputs, Inputs]:
        """The mean output of the body's heads, and the network's input; `x` as in `forward_heads`."""
        z, inputs = self._forward(x)
        is_of_classes = isinstance(self.preprocessing.target_transform, ClassProbabilities)
        if self.heads > 1:
            z = mean_of_heads(z, self.heads, logits=is_of_classes)
        return z, inputs

    def _forward(self, x: Input) -> tuple[Output, Inputs]:
        inputs = self.preprocessing(x)
        return self.body(self.preprocessing.with_embeddings(inputs)), inputs

    def forward_scaled(self, x: Input) -> Outputs:
        """Predictions on the scale of the loss; `x` as in `forward_heads`."""
        z, inputs = self.forward_body(x)
        return z if self.linear_path is None else self.linear_path.output(z, inputs)

    def forward(self, x: Input) -> Prediction:
        """Predictions in the targets' units, or the probability of each class."""
        z = self.forward_scaled(self.preprocessing.impute(x))
        return self.preprocessing.target_transform.inverse_transform(z)

    def shift(self, member: int, offset: Float64[Tensor, " feature"]) -> None:
        """Adapts a member to columns with `offset` added to their values; 0 for categories."""
        self.preprocessing.shift(member, offset)
        if self.linear_path is not None:
            self.linear_path.shift(member, offset[self.preprocessing.numeric])


def parameter_kinds(network: nn.Module) -> list[tuple[str, int]]:
    """What the settings of each parameter in the optimizer depend on.

    First, the name of its factors in `config.ParameterFactors`: that which its layer has in an attribute
    `parameter_group`; in others, `bias` belongs to `biases`, and all else to `weights`. Second, the number of
    inputs of the linear layer of which it is the weight (`fan_in`); 1 for all others.
    """
    kinds = []
    for name, _ in network.named_parameters():
        path, _, leaf = name.rpartition(".")
        layer, by_name = network.get_submodule(path), "biases" if leaf == "bias" else "weights"
        fan_in = getattr(layer, "fan_in", 1) if leaf == "weight" else 1
        kinds.append((getattr(layer, "parameter_group", by_name), fan_in))
    return kinds


def _as_mlp(model: config.ResolvedModel) -> config.Mlp[config.Resolved]:
    """A linear model as a perceptron without hidden layers; others are perceptrons already."""
    if isinstance(model, config.Mlp):
        return model
    affine = {"name": "mlp", "hidden": [], "activation": "relu", "dropout": 0.0, "norm": "none"}
    shape = affine | {"residual": False, "periodic_features": 0, "preprocessing": model.preprocessing}
    return config.Mlp[config.Resolved].model_validate(shape)


def build_network(plan: NetworkPlan) -> Network:
    """A network with initial weights; without statistics, its state must be loaded.

    Raises:
        UserError: if a custom network class cannot be found, or its tensors have no member axis.
    """
    model, members, linear_path = plan.models[0], len(plan.seeds), None
    body: nn.Module
    with SkipInit() if plan.statistics is None else nullcontext():
        preprocessing = Preprocessing(plan)
        widths = preprocessing.width, preprocessing.target_transform.outputs
        if not isinstance(model, config.CustomModel):
            sections, numbers, knots = [*map(_as_mlp, plan.models)], len(preprocessing.numeric), None
            if bins := sections[0].piecewise_linear_bins:
                knots = torch.zeros(members, bins + 1, numbers)
                if plan.statistics is not None:
                    knots = preprocessing.scaled(plan.statistics["knots"])
            body = MLP(sections, plan.seeds, preprocessing.columns, widths[1], numbers, knots)
            if sections[0].linear_path:
                linear_path = build_linear_path(preprocessing, members)
    if isinstance(model, config.CustomModel):  # which may need what its class initializes
        body = instantiate(model.class_path, nn.Module, *widths, seeds=plan.seeds, **model.arguments)
    body = body.to(plan.dtype)
    for name, tensor in (*body.named_parameters(), *body.named_buffers()):
        if tensor.dim() != 3 or tensor.shape[0] != members:
            what, expected = f"its tensor {name} has the shape {tuple(tensor.shape)}", "[member, row, column]"
            remedy = "build it from layers with a member axis, such as those of mlplab.models"
            raise UserError(Fault(what, type(body).__name__, expected=expected, remedy=remedy))
    return Network(preprocessing, body, linear_path)
