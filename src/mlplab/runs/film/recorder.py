"""Which networks a film can show, and at which steps; copies what a stack is at these."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mlplab.config import ResolvedConfig
from mlplab.console import plural
from mlplab.errors import Fault, UserError, refusal
from mlplab.figures import warn_if_failing
from mlplab.models import MLP, Linear, Network
from mlplab.models.targets import ClassProbabilities
from mlplab.runs.film.film_data import film_of
from mlplab.runs.film.scene import MAP, POINTS, ROWS
from mlplab.runs.observers.open_run import WatchedRun
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run

MOST_VALUES = 320_000  # the most numbers that the page of a run contains; with them, it has 1.7 MB

# The steps at which there are frames between two powers of ten, as multiples of the lower one: the first row
# whose frames fit into the page is used.
MANTISSAS = (
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9),
    (1, 1.5, 2, 3, 4, 6, 8),
    (1, 2, 5),
)


def check_filmable(run: ResolvedConfig, network: Network) -> None:
    """Checks that a film can show a run's networks, if it is to be filmed.

    Raises:
        UserError: if they are too large or too many, or no plain MLP.
    """
    if not run.callbacks.film:
        return
    otherwise = "or leave it out: callbacks.film=false"
    if not isinstance(network.body, MLP) or network.heads > 1:
        what = "a film shows networks of hidden layers, with heads=1"
        raise refusal(what, "callbacks.film", f"use model=mlp model.heads=1, {otherwise}")
    if run.ensemble * _values_of_frame(network) > MOST_VALUES // 20:  # frames are the fewest
        found = f"{plural(run.ensemble, 'network')} of {_weights(network):,} weights"
        remedy = f"use ensemble=1 model.hidden=[8] model.piecewise_linear_bins=0, {otherwise}"
        raise UserError(Fault("too large for a film", "the run", found, remedy=remedy))


def _weights(network: Network) -> int:
    return sum(parameter[0].numel() for parameter in network.parameters())


def _values_of_frame(network: Network) -> int:
    units = sum(layer.weight.shape[2] for layer in network.body.modules() if isinstance(layer, Linear))
    bytes_of_cell = 2 if isinstance(network.preprocessing.target_transform, ClassProbabilities) else 1
    # Four bytes of a map take the room of a number.
    predictions = max(MAP * MAP * bytes_of_cell // 4, 2 * POINTS)
    # Weights before and after the step, their gradients, and two moments; z, a and δ of each unit, and what
    # the first layer gets.
    return 5 * _weights(network) + ROWS * (3 * units + network.preprocessing.width) + predictions


def film_steps(run: ResolvedConfig, network: Network, total: int) -> list[int]:
    """The numbers of steps made at each frame, 0 among them.

    There are equally many between two powers of ten: a network learns more in its first steps.

    Args:
        total: the number of steps that the run makes.
    """
    most = MOST_VALUES // (run.ensemble * _values_of_frame(network))
    for mantissas in MANTISSAS:
        powers = [10**exponent for exponent in range(len(str(total)))]
        between = {round(mantissa * power) for power in powers for mantissa in mantissas}
        steps = {0, total, *(step for step in between if step < total)}
        if len(steps) <= most:
            break
    return sorted(steps)


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
        known = self.frames.get("step", [])
        # A run that was interrupted before a step and then got more epochs may have no frame of it now.
        if len(known) > len(self.frames.get("after", [])) and int(known[-1][0]) not in self._befores:
            for name in ("step", "before"):
                self.frames[name].pop()
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

    def state(self) -> dict[str, Tensor]:
        """The frames as tensors `[member, frame, …]`."""
        return {name: torch.stack(values, 1) for name, values in self.frames.items()}

    def _of_member(self, member: int) -> dict[str, Tensor]:
        """The frames of a member as tensors `[frame, …]`."""
        return {name: torch.stack([each[member] for each in values]) for name, values in self.frames.items()}

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
                frames = [self._of_member(member) for member in self._stack.members(place)]
                watched.film(film_of(self._stack, place, frames))
