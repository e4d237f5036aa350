"""Copies what a stack is at some steps, for the film of each run."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from mlplab.config import ResolvedConfig
from mlplab.runs.film.film import film_of
from mlplab.runs.film.packing import Plain
from mlplab.runs.film.size import film_steps
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.fit import StackTrainer
from mlplab.training.observer import Observer
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run


class Film(Observer):
    """Copies the weights before a step; after it, its gradients, the optimizer's moments and the new weights.

    Args:
        write: gets a function of what the page of a run shows, when it has ended.

    Attributes:
        frames: tensors on the CPU with a member axis, one for each frame, by name: `step` (that number),
            `before` (the weights), and of frames whose step has been made `gradients`, the moments,
            `after` (the new weights), `loss` of the step's rows in the target's own units, and `lr`, its
            learning rate. Weights are rows of `MemberOptimizer`.
    """

    part = "film"

    def __init__(self, config: ResolvedConfig, write: Callable[[Run, Callable[[], Plain]], None]) -> None:
        self._config, self._write = config, write
        self._befores, self._afters = frozenset[int](), frozenset[int]()
        self._stops: list[int] = []
        self._stack: StackTrainer | None = None
        self.frames: dict[str, list[Tensor]] = defaultdict(list)

    def on_start(self, stack: StackTrainer) -> None:
        """Chooses the steps, and copies the initial weights.

        The last frame of a run that had ended was not to be followed by a step. If the run goes on with more
        epochs, it may be none of its frames.
        """
        module = stack.module
        steps = film_steps(self._config, module.network, module.max_epochs * module.steps)
        self._befores, self._afters = frozenset(steps), frozenset(step + 1 for step in steps)
        self._stops = sorted(self._befores | self._afters)
        known = self.frames.get("step", [])
        if len(known) > len(self.frames.get("after", [])) and int(known[-1][0]) not in self._befores:
            for name in ("step", "before"):
                self.frames[name].pop()
        if 0 in self._befores and not self.frames:
            self._copy_before(0, module.optimizer)

    def next_stop(self, step: int) -> int:
        """Before and after the steps."""
        place = bisect_right(self._stops, step)
        return self._stops[place] if place < len(self._stops) else super().next_stop(step)

    def on_step(self, stack: StackTrainer) -> None:
        """Copies what a frame consists of."""
        module = stack.module
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
        """Takes over the result of `state`, of the members of a new stack."""
        self.frames = defaultdict(list, {name: [*values.unbind(1)] for name, values in state.items()})
        self._stack = None

    def on_stop(self, stack: StackTrainer, ended: int) -> None:
        """Keeps the stack, whose networks make films."""
        self._stack = stack

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Makes the film of a run, unless it may be resumed."""
        if self._stack and not outcome.error:
            place = self._stack.runs.index(run)
            frames = [self.of_member(member) for member in self._stack.members(place)]
            self._write(run, partial(film_of, self._stack, place, frames))
