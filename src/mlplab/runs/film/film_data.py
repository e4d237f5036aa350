"""What the film of a run shows, from the frames that were copied while it trained.

A frame has the weights W after so many steps; of some training rows z = aW + b, f(z) and δ = ∂l/∂z of the
row's loss l; what the network predicts; and its validation loss. Of the step that follows, it has ∂L/∂W of
their mean loss L, the optimizer's moments and the new weights, as they were in training. All else is
computed afterwards, by the operations that train, and for all frames at once: they are the members of one
network.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.data.batches.loader import Batch
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.files import Plain
from mlplab.models import MLP
from mlplab.models.layers.activation import Activation
from mlplab.models.mlp import HiddenLayer, LayerTrace
from mlplab.models.targets import ClassProbabilities
from mlplab.runs.film.scene import POINTS, Scene, input_names, packed, scene_of
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.fit import StackTrainer
from mlplab.training.optimization.optimizers import unpacked
from mlplab.training.run import member_configs
from mlplab.training.scoring.losses import batch_losses, build_loss
from mlplab.training.stack.build import build_stack_network

NOT_A_NUMBER = 255  # the byte on a map for what is none; lower ones are shares of a range


def film_of(stack: StackTrainer, index: int, frames: Sequence[Tensors]) -> Plain:
    """What the page shows of a run: rows of its table, and the frames of each of its networks.

    Args:
        frames: what was copied while each of the networks trained: `[frame, …]`.
    """
    run, members = stack.runs[index], stack.members(index)
    scene = scene_of(run.data, run.config)
    networks = [
        _FilmedNetwork(stack, member, number, scene, of_member).plain()
        for number, (member, of_member) in enumerate(zip(members, frames, strict=True))
    ]
    return scene.plain() | {"networks": networks}


class _FilmedNetwork:
    """What the page shows of a member.

    Args:
        number: that of the network in its run.
        frames: what was copied while it trained.

    Attributes:
        steps: the number of steps made at each frame; at the last one, training has ended.
        network: that of each frame.
        recorded: what was copied while it trained, but for the last frame.
    """

    def __init__(self, stack: StackTrainer, member: int, number: int, scene: Scene, frames: Tensors) -> None:
        module, section, data = stack.module, member_configs(scene.run)[number], scene.data.members[number]
        epochs = int(module.members.epochs[member]) + (member in module.members.diverged)
        end = min(epochs * module.progress.steps, stack.trainer.global_step)
        steps = [step for step in frames["step"].tolist() if step < end]
        self.steps, self.section, self.data, self.scene = [*steps, end], section, data, scene
        self.steps_per_epoch, self.batch_size = module.progress.steps, stack.datamodule.batch_size
        self.recorded = {name: values[: len(steps)] for name, values in frames.items()}
        count = len(self.steps)
        self.network = build_stack_network([section] * count, [data] * count, initialize=False)
        last = {name: tensor[member : member + 1] for name, tensor in stack.last_weights.items()}
        state = {name: tensor.expand(count, *tensor.shape[1:]) for name, tensor in last.items()}
        state |= {name: torch.cat([rows, last[name]]) for name, rows in self._unpacked("before").items()}
        self.network.load_state_dict(state)
        self.network.eval()
        assert isinstance(self.network.body, MLP)
        self.body = self.network.body
        self.transform = self.network.preprocessing.target_transform
        self.loss = build_loss([section.loss] * count)

    def _unpacked(self, recorded: str) -> Tensors:
        """What was copied of each parameter, by the name of the parameter: `[frame, row, column]`."""
        named = dict(self.network.named_parameters())
        shapes = [parameter[:1] for parameter in named.values()]
        return dict(zip(named, unpacked(self.recorded[recorded], shapes), strict=True))

    @torch.no_grad()
    def plain(self) -> Plain:
        """What becomes JSON."""
        recorded, scene, split = self.recorded, self.scene, self.data.split
        rows, size, per_epoch = len(split.train), self.batch_size, self.steps_per_epoch
        scored = self._batch(sample_rows(split.val, 2000))
        losses = batch_losses(self.loss, self._scaled(scored.x), scored, self.transform)
        return {
            "steps": self.steps,
            "averaged": self.section.optimizer.weight_averaging,
            "batch": [max(0, min(size, rows - step % per_epoch * size)) for step in self.steps],
            "weighted": self.data.table.weight is not None or self.section.data.class_weights != "none",
            "optimizer": self.section.optimizer.model_dump(),
            "lr": packed(recorded["lr"].numpy()),
            "loss": {
                **self.section.loss.model_dump(),
                "unit": float(self.transform.unit[0] ** self.loss.degree),
                "train": packed(recorded["loss"].numpy()),
                "val": packed(self.loss.in_target_units(losses, self.transform).numpy()),
            },
            "held_out": np.isin(scene.worked, split.val).tolist(),
            **({"map": self._map()} if scene.axes else {"points": self._points()}),
            **self._worked(),
        }

    def _batch(self, rows: Rows) -> Batch:
        table, count = self.data.table, len(self.steps)
        x, y = (torch.from_numpy(values[rows]).expand(count, -1, -1) for values in (table.x, table.y))
        weight = None if table.weight is None else torch.from_numpy(table.weight[rows])[:, None]
        return Batch(x, y, weight if weight is None else weight.expand(count, -1, -1))

    def _scaled(self, x: Float[Tensor, "frame row feature"]) -> Float[Tensor, "frame row output"]:
        return self.network.forward_scaled(self.network.preprocessing.impute(x))

    def _predicted(self, x: Float[Tensor, "frame row feature"]) -> Float64[np.ndarray, "frame row output"]:
        """The target in its own units, or the probability of each class."""
        z, is_class = self._scaled(x), isinstance(self.transform, ClassProbabilities)
        return (self.transform.inverse_transform(z) if is_class else self.transform.scored(z)).numpy()

    def _points(self) -> Plain:
        rows = sample_rows(self.data.split.val, POINTS)
        predicted, actual = self._predicted(self._batch(rows).x), self.data.table.y[rows, 0]
        output = actual.astype(int) if self.data.table.schema.classes else 0
        return {"actual": packed(actual), "predicted": packed(predicted[:, np.arange(len(rows)), output])}

    def _map(self) -> Plain:
        """Predictions on the scene's grid; over two columns as bytes, to save space."""
        table, shape = self.data.table, (len(self.steps), *(len(axis) for axis in self.scene.axes))
        x = torch.from_numpy((self.scene.grid - table.schema.offsets).astype(table.x.dtype))
        predicted = self._predicted(x.expand(len(self.steps), -1, -1))
        plain, values, (low, high) = Plain(), predicted[:, :, 0], self.scene.range
        if table.schema.classes:
            plain["class"] = packed(predicted.argmax(2).astype(np.uint8).reshape(shape))
            values, low, high = predicted.max(2), 0.0, 1.0
        if len(shape) > 2:
            shares = ((values - low) / (high - low or 1)).clip(0, 1)
            shares = np.where(np.isnan(shares), NOT_A_NUMBER, (shares * (NOT_A_NUMBER - 1)).round())
            values = shares.astype(np.uint8).reshape(shape)
        return plain | {"value": packed(values)}

    def _worked(self) -> Plain:
        network, body, batch = self.network, self.body, self._batch(self.scene.worked)
        inputs = network.preprocessing(network.preprocessing.impute(batch.x))
        x, y = network.preprocessing.with_embeddings(inputs), self.transform.transform(batch.y)
        offset = None if network.linear_path is None else network.linear_path.offset(inputs)

        def output(z: Tensor) -> Tensor:
            return z if offset is None else z + offset

        a, layers = body.trace(x, lambda z: self.loss.derivative(output(z), y) / y.shape[2])
        names = input_names(self.data.table.schema, self.section.model.preprocessing)
        recorded = {key: self._unpacked(key) for key in self.recorded if key not in ("step", "loss", "lr")}
        plain = [self._layer(number, recorded, traced) for number, traced in enumerate(layers)]
        return {
            "inputs": [f"input {k + 1}" for k in range(a.shape[2])] if body.first else names,
            "x": packed((a if body.first else a[:1]).numpy()),
            "layers": plain,
            "plain": all(each["formula"] in ("f(z)", "") for each in plain),
            "linear": None if offset is None else packed(offset.numpy()),
            "y": packed(y[0].numpy()),
            "scaled": not torch.allclose(y.double(), batch.y, rtol=1e-6, atol=0),
            "losses": packed(self.loss.by_row(output(layers[-1].z), y).mean(2).numpy()),
            "predicted": packed(self._predicted(batch.x)),
        }

    def _layer(self, number: int, recorded: Mapping[str, Tensors], traced: LayerTrace) -> Plain:
        plain = Plain(activation="", formula="")
        plain |= {name: packed(values.numpy()) for name, values in traced._asdict().items()}
        path = "body.output"
        if number < len(self.body.hidden):
            hidden, path = self.body.hidden[number], f"body.hidden.{number}.linear"
            plain |= {"activation": hidden.activation.names[0], "formula": _formula(hidden)}
        for part in ("weight", "bias"):
            name = f"{path}.{part}"
            plain[part] = {key: packed(weights[name].numpy()) for key, weights in recorded.items()}
            plain[part]["before"] = packed(self.network.get_parameter(name).numpy())  # with the last frame
        return plain


def _formula(layer: HiddenLayer) -> str:
    z = "z" if layer.norm is None else "norm(z)"
    a = f"f({z})" if type(layer.activation) is Activation else f"{z} + α(f({z}) − {z})"
    return f"{a} + the layer's input" if layer.residual else a
