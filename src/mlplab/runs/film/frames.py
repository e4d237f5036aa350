"""Copies what a stack is at some steps, for the film of each run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mlplab.figures import warn_if_failing
from mlplab.runs.film.film import film_of
from mlplab.runs.film.size import film_steps
from mlplab.runs.observers.watched_run import WatchedRun
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run


class FilmFrames(Observer):
    """Copies the weights before a step; after it, its gradients, the optimizer's moments and the new weights.

    Args:
        runs: of which `film` gets what the page shows, when they have ended.

    Attributes:
        frames: tensors on the CPU with a member axis, one for each frame, by name: `step` (that number),
            `before` (the weights), and of frames whose step has been made `gradients`, the moments,
            `after` (the new weights), `loss` of the step's rows in the target's own units, and `lr`, its
            learning rate. Weights are rows of `MemberOptimizer`.
    """

    part = "film"

    def __init__(self, runs: Sequence[WatchedRun]) -> None:
        self._config, self._runs = runs[0].run.config, {run.run: run for run in runs}
        self._befores, self._afters = frozenset[int](), frozenset[int]()
        self._stack: StackTrainer | None = None
        self.frames: dict[str, list[Tensor]] = defaultdict(list)

    def on_start(self, stack: StackTrainer) -> None:
        """Chooses the steps, and copies the initial weights. None is copied at the end, for there `film_of`
        takes the last weights, and the run may go on with more epochs."""
        module = stack.module
        total = module.progress.max_epochs * module.progress.steps
        [*steps, _] = film_steps(self._config, module.network, total)
        self._befores, self._afters = frozenset(steps), frozenset(step + 1 for step in steps)
        if 0 in self._befores and not self.frames:
            self._copy_before(0, module.optimizer)

    def next_stop(self, step: int) -> int:
        """Before and after the steps."""
        stops = (stop for stop in self._befores | self._afters if stop > step)
        return min(stops, default=super().next_stop(step))

    def on_step(self, stack: StackTrainer) -> None:
        """Copies what a frame consists of."""
        module = stack.module
        step = module.progress.epoch * module.progress.steps + module.progress.step
        if step in self._afters:
            optimizer = module.optimizer
            for name in ("gradients", *optimizer.state_names):
                self._append(name, optimizer.matrices[name])
            self._append("after", optimizer.matrices["weights"])
            self._append("loss", module.last_losses())
            self._append("lr", optimizer.lr)
        if step in self._befores:
            self._copy_before(step, module.optimizer)

    def _copy_before(self, step: int, optimizer: MemberOptimizer) -> None:
        self._append("before", optimizer.matrices["weights"])
        self._append("step", torch.full((len(optimizer.settings),), step))

    def _append(self, name: str, values: Tensor) -> None:
        self.frames[name].append(values.detach().to("cpu", copy=True))

    def state(self) -> Tensors:
        """The frames as tensors `[member, frame, …]`."""
        return {name: torch.stack(values, 1) for name, values in self.frames.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Takes over the result of `state`, of the members of a new stack."""
        self.frames = defaultdict(list, {name: [*values.unbind(1)] for name, values in state.items()})
        self._stack = None

    def on_stop(self, stack: StackTrainer) -> None:
        """Keeps the stack, whose networks make films."""
        self._stack = stack

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Makes the film of a run, unless it may be resumed."""
        if self._stack and not outcome.error:
            watched, place = self._runs[run], self._stack.runs.index(run)
            with warn_if_failing(watched.plan.folder, "film"):
                state, members = self.state(), self._stack.members(place)
                frames = [{name: values[member] for name, values in state.items()} for member in members]
                watched.film(film_of(self._stack, place, frames))
