"""Copies what a stack is at some steps, for the film of each run."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from mlplab.training.callbacks.stack_callback import StackCallback, Tensors
from mlplab.training.module import StackModule
from mlplab.training.optimization.optimizers import MemberOptimizer

NOT_OF_WEIGHTS = ("step", "loss", "lr")
"""What a frame has besides rows of weights."""


class FilmFrames(StackCallback):
    """Copies the weights before a step; after it, its gradients, the optimizer's moments and the new weights.

    Args:
        steps: the numbers of steps made before these steps, ascending.

    Attributes:
        frames: tensors on the CPU with a member axis, one for each frame, by name: `step` (that number),
            `before` (the weights), and of frames whose step has been made `gradients`, the moments,
            `after` (the new weights), `loss` of the step's rows in the target's own units, and `lr`, its
            learning rate. Weights are rows of `MemberOptimizer`.
    """

    def __init__(self, steps: Sequence[int]) -> None:
        self._befores, self._afters = frozenset(steps), frozenset(step + 1 for step in steps)
        self._stops = sorted(self._befores | self._afters)
        self.frames: dict[str, list[Tensor]] = defaultdict(list)

    def next_stop(self, step: int) -> int:
        """Before and after the steps."""
        place = bisect_right(self._stops, step)
        return self._stops[place] if place < len(self._stops) else super().next_stop(step)

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Copies the initial weights."""
        if 0 in self._befores and not self.frames:
            self._copy_before(0, module.optimizer)

    def on_step(self, trainer: Trainer, module: StackModule) -> None:
        """Copies what a frame consists of."""
        step = module.completed_epochs * module.steps + module.completed_steps
        if step in self._afters:
            optimizer = module.optimizer
            for name in ("gradients", *optimizer.state_names):
                self._append(name, optimizer.rows[name])
            self._append("after", optimizer.rows["weights"])
            self._append("loss", module.last_losses())
            self._append("lr", optimizer.lr)
        if step in self._befores:
            self._copy_before(step, module.optimizer)

    def _copy_before(self, step: int, optimizer: MemberOptimizer) -> None:
        self._append("before", optimizer.rows["weights"])
        self._append("step", torch.full((len(optimizer.settings),), step))

    def _append(self, name: str, values: Tensor) -> None:
        self.frames[name].append(values.detach().to("cpu", copy=True))

    def state(self) -> Tensors:
        """The frames as tensors `[member, frame, …]`."""
        return {name: torch.stack(values, 1) for name, values in self.frames.items()}

    def of_member(self, member: int) -> Tensors:
        """The frames of a member as tensors `[frame, …]`."""
        return {name: torch.stack([each[member] for each in values]) for name, values in self.frames.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes over the result of `state`.

        The last frame of a run that has ended was not to be followed by a step. If the run goes on with more
        epochs, it may be none of its frames.
        """
        for name, values in state.items():
            self.frames[name] = list(values.unbind(1))
        steps = self.frames.get("step", [])
        if len(steps) > len(self.frames.get("after", [])) and int(steps[-1][0]) not in self._befores:
            for name in ("step", "before"):
                self.frames[name].pop()
