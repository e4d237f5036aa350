"""What the film of a run shows, from the frames that were copied while it trained.

A frame has the weights W after so many steps; of some training rows z = aW + b, f(z) and δ = ∂l/∂z of the
row's loss l; what the network predicts; and its validation loss. Of the step that follows, it has ∂L/∂W of
mean loss L, the optimizer's moments and the new weights, as they were in training. All else is computed
afterwards, by the operations that train, and for all frames at once: they are the members of one network.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab import config
from mlplab.data.batches.loader import Batch
from mlplab.data.cache import RunData
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.models import MLP
from mlplab.models.backpropagation import Workspace
from mlplab.models.layers.activation import Activation
from mlplab.models.mlp import HiddenLayer
from mlplab.models.targets import ClassProbabilities
from mlplab.runs.film.scene import Plain, Scene, input_names, packed, scene_of
from mlplab.runs.run import member_configs
from mlplab.runs.stack.build import build_stack_network
from mlplab.runs.stack.stack_trainer import StackTrainer
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.optimization.optimizers import unpacked
from mlplab.training.scoring.losses import batch_losses, build_loss

MOST_SCORED = 2000
"""Validation rows from which the loss of a frame is computed at most."""

FOLDED = ("relu", "leaky_relu")
"""Activations with a fold where z = 0."""


def film_of(trainer: StackTrainer, index: int) -> Plain:
    """What the page shows of a run: rows of its table, and the frames of each of its networks."""
    run, members = trainer.runs[index], trainer.members(index)
    scene = scene_of(run.data, run.config)
    networks = [
        _Frames(trainer, member, section, data, scene).plain()
        for member, section, data in zip(members, member_configs(run.config), run.data.members, strict=True)
    ]
    return scene.plain() | {"name": run.folder.name, "networks": networks}


class _Frames:
    """The frames of a member.

    Args:
        section: the configuration of the member.

    Attributes:
        steps: the number of steps made at each frame; at the last one, training has ended.
        network: that of each frame.
        recorded: what was copied while it trained, but for the last frame.
    """

    def __init__(
        self, trainer: StackTrainer, member: int, section: config.ResolvedConfig, data: RunData, scene: Scene
    ) -> None:
        module, frames = trainer.stack.module, trainer.film.state()
        epochs = int(module.epochs[member]) + (member in module.diverged)
        end = min(epochs * module.steps, trainer.trainer.global_step)
        steps = [step for step in frames["step"][member].tolist() if step < end]
        self.steps, self.section, self.data, self.scene = [*steps, end], section, data, scene
        self.steps_per_epoch, self.batch_size = module.steps, trainer.stack.datamodule.batch_size
        self.recorded = {name: values[member, : len(steps)] for name, values in frames.items()}
        count = len(self.steps)
        self.network = build_stack_network([section] * count, [data] * count, initialize=False)
        last = {name: tensor[member : member + 1] for name, tensor in trainer.last_weights.items()}
        state = {name: tensor.expand(count, *tensor.shape[1:]) for name, tensor in last.items()}
        state |= {name: torch.cat([rows, last[name]]) for name, rows in self._unpacked("weights").items()}
        self.network.load_state_dict(state)
        self.network.eval()
        self.transform = self.network.preprocessing.target_transform
        self.loss = build_loss([section.loss] * count)

    def _unpacked(self, recorded: str) -> Tensors:
        """What was copied of each parameter, by the name of the parameter: `[frame, row, column]`."""
        named = dict(self.network.named_parameters())
        shapes = [parameter[:1] for parameter in named.values()]
        return dict(zip(named, unpacked(self.recorded[recorded], shapes), strict=True))

    def _batch_rows(self, step: int) -> int:
        """The number of rows of the step after so many: the last of an epoch may have fewer."""
        before = step % self.steps_per_epoch * self.batch_size
        return max(0, min(self.batch_size, len(self.data.split.train) - before))

    @torch.no_grad()
    def plain(self) -> Plain:
        """As JSON."""
        recorded, scene = self.recorded, self.scene
        return {
            "steps": self.steps,
            "notes": self._notes(),
            "averaged": self.section.optimizer.weight_averaging,
            "batch": [self._batch_rows(step) for step in self.steps],
            "optimizer": self.section.optimizer.model_dump(),
            "lr": packed(recorded["lr"].numpy()),
            "loss": {
                **self.section.loss.model_dump(),
                "train": packed(recorded["loss"].numpy()),
                "val": packed(self._validation_losses()),
            },
            **({"map": self._map(), "folds": self._folds()} if scene.axes else {"points": self._points()}),
            **self._worked(),
        }

    def _notes(self) -> list[str]:
        """What else decides about a step, in sentences."""
        run, optimizer = self.section, self.section.optimizer
        is_weighted = self.data.table.weight is not None or run.data.class_weights != "none"
        own = optimizer.lr_factors, optimizer.weight_decay_factors
        factors = {factor for each in own for factor in each.model_dump().values()}
        notes = {
            "Rows have weights: L and ∂L/∂W are weighted means.": is_weighted,
            "Dropout leaves out units in each step, and ∂L/∂W is that of the units that are left.": (
                isinstance(run.model, config.Mlp) and bool(run.model.dropout)
            ),
            "∂L/∂W is clipped, so it may be smaller than the mean.": bool(run.trainer.gradient_clip_val),
            "This layer has its own factor of the learning rate or the weight decay.": (
                factors != {1.0} or (isinstance(optimizer, config.Adam) and optimizer.lr_by_fan_in)
            ),
        }
        return [note for note, applies in notes.items() if applies]

    def _batch(self, rows: Rows) -> Batch:
        """Some rows of the table, for each frame."""
        table, count = self.data.table, len(self.steps)
        x, y = torch.from_numpy(table.x[rows]), torch.from_numpy(table.y[rows])
        weight = None if table.weight is None else torch.from_numpy(table.weight[rows])[:, None]
        expanded = weight if weight is None else weight.expand(count, -1, -1)
        return Batch(x.expand(count, -1, -1), y.expand(count, -1, -1), expanded)

    def _validation_losses(self) -> Float64[np.ndarray, " frame"]:
        batch = self._batch(sample_rows(self.data.split.val, MOST_SCORED))
        z = self.network.forward_scaled(self.network.preprocessing.impute(batch.x))
        losses = batch_losses(self.loss, z, batch, self.transform)
        return self.loss.in_target_units(losses, self.transform).numpy()

    def _predicted(self, x: Float[Tensor, "frame row feature"]) -> Float64[np.ndarray, "frame row output"]:
        """The target in its own units, or the probability of each class."""
        z = self.network.forward_scaled(self.network.preprocessing.impute(x))
        is_class = isinstance(self.transform, ClassProbabilities)
        return (self.transform.inverse_transform(z) if is_class else self.transform.scored(z)).numpy()

    def _points(self) -> Plain:
        """Predictions of the scene's points, or the probability of their class."""
        predicted, rows = self._predicted(self._batch(self.scene.points).x), self.scene.points
        if not self.data.table.schema.classes:
            return packed(predicted[:, :, 0])
        return packed(predicted[:, np.arange(len(rows)), self.data.table.y[rows, 0].astype(int)])

    def _map(self) -> Plain:
        """Predictions on the scene's grid; over two columns as bytes, to save space.

        A byte is the share of the range of targets, or of probability where there is a class.
        """
        table, axes = self.data.table, [len(axis) for axis in self.scene.axes]
        x = torch.from_numpy((self.scene.grid - table.schema.offsets).astype(table.x.dtype))
        predicted = self._predicted(x.expand(len(self.steps), -1, -1))
        if table.schema.classes:
            shape = len(self.steps), *axes
            labels, shares = predicted.argmax(2), predicted.max(2)
            return {
                "class": packed(labels.astype(np.uint8).reshape(shape)),
                "value": _bytes(shares, 0, 1, shape),
            }
        if len(axes) == 1:
            return {"value": packed(predicted[:, :, 0])}
        low, high = self.scene.range
        return {"value": _bytes(predicted[:, :, 0], low, high, (len(self.steps), *axes))}

    def _folds(self) -> Plain | None:
        """The axes as the first layer sees them, between whose values its units fold; None if they do not."""
        body, preprocessing = self.network.body, self.network.preprocessing
        assert isinstance(body, MLP)
        first = next(iter(body.hidden), None)
        if not isinstance(first, HiddenLayer) or body.first or preprocessing.width != len(self.scene.axes):
            return None
        if first.norm is not None or first.activation.names[0] not in FOLDED:
            return None
        x = np.stack(self.scene.axes, 1) - self.data.table.schema.offsets
        columns = preprocessing(
            torch.from_numpy(x.astype(self.data.table.x.dtype)).expand(len(self.steps), -1, -1)
        )
        return packed(columns.scaled[0].T.numpy())

    def _worked(self) -> Plain:
        """The forward and the backward pass of the scene's worked rows, and each layer's weights."""
        network, body, batch = self.network, self.network.body, self._batch(self.scene.worked)
        assert isinstance(body, MLP)
        inputs = network.preprocessing(network.preprocessing.impute(batch.x))
        x, y = network.preprocessing.with_embeddings(inputs), self.transform.transform(batch.y)
        offset = None if network.linear_path is None else network.linear_path.offset(inputs)

        def output(z: Tensor) -> Tensor:
            return z if offset is None else z + offset

        operations = Workspace(x, body.operations).trace(
            x, lambda z: self.loss.derivative(output(z), y) / y.shape[2]
        )
        place, a = len(body.first), operations[len(body.first) - 1][0] if body.first else x
        layers = []
        for number, layer in enumerate(body.hidden):
            assert isinstance(layer, HiddenLayer)
            last = place + 1 + (layer.norm is not None) + layer.residual
            of_layer = *operations[place], operations[last][0]
            layers.append(self._layer(f"body.hidden.{number}.linear", layer.activation.names[0], *of_layer))
            place = last + 1
        z, delta = operations[place]
        layers.append(self._layer("body.output", "", z, delta, z))
        names = input_names(self.data.table.schema, self.section.model.preprocessing)
        return {
            "inputs": [f"input {k + 1}" for k in range(a.shape[2])] if body.first else names,
            "x": packed((a if body.first else a[:1]).numpy()),
            "layers": layers,
            "plain": all(_is_plain(layer) for layer in body.hidden),
            "linear": None if offset is None else packed(offset.numpy()),
            "y": packed(y[0].numpy()),
            "losses": packed(self.loss.by_row(output(z), y).mean(2).numpy()),
            "predicted": packed(self._predicted(batch.x)),
        }

    def _layer(self, name: str, activation: str, z: Tensor, delta: Tensor, a: Tensor) -> Plain:
        """A layer: z, a = f(z) and δ of each frame, row and unit, and its parameters."""
        layer = {
            "activation": activation,
            "z": packed(z.numpy()),
            "a": packed(a.numpy()),
            "delta": packed(delta.numpy()),
        }
        names = {"gradients", "after", *self.recorded} - {"step", "weights", "loss", "lr"}
        for part in ("weight", "bias"):
            weights = self.network.get_parameter(f"{name}.{part}")
            layer[part] = {"before": packed(weights.numpy())} | {
                key: packed(self._unpacked(key)[f"{name}.{part}"].numpy()) for key in sorted(names)
            }
        return layer


def _is_plain(layer: torch.nn.Module) -> bool:
    """Whether a hidden layer is a = f(xW + b), so that δ = f′(z) · δWᵀ."""
    assert isinstance(layer, HiddenLayer)
    return layer.norm is None and not layer.residual and type(layer.activation) is Activation


def _bytes(
    values: Float64[np.ndarray, "frame cell"], low: float, high: float, shape: tuple[int, ...]
) -> Plain:
    """Values as shares of a range, in bytes."""
    shares = np.nan_to_num((values - low) / (high - low or 1)).clip(0, 1)
    return packed((shares * 255).round().astype(np.uint8).reshape(shape))
