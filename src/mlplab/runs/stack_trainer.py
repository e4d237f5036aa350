"""Trains a stack: one `Trainer.fit`, from the start or a training state, until few members are left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.config import TrainConfig
from mlplab.data.cache import RunData
from mlplab.errors import Fault, UserError
from mlplab.models.class_probabilities import ClassProbabilities
from mlplab.runs.build import build_stack, build_trainer
from mlplab.runs.folder import Metrics, RunFolder, finite
from mlplab.runs.predictions import Predicted
from mlplab.runs.resume_state import StackCheckpoint
from mlplab.training import checkpoint
from mlplab.training import state as stack_state
from mlplab.training.calibration import temperatures
from mlplab.training.callbacks import (
    AtEnd,
    BestWeights,
    CallbackDispatcher,
    EarlyStopping,
    PeriodicCheckpoint,
    ShrinkStack,
    StackCallback,
)
from mlplab.training.loggers import EpochCurves, StepCurves, flush_loggers
from mlplab.training.progress import EpochLines
from mlplab.training.state import StackState

TEMPERATURE = "preprocessing.target_transform.temperature"
"""The name of a tensor in a network's state."""


@dataclass(frozen=True)
class Member:
    """A run in training.

    Args:
        log: logs a line about the run.
        log_progress: logs a line about its progress.
    """

    config: TrainConfig
    data: RunData
    folder: RunFolder
    loggers: Sequence[Logger]
    log: Callable[[str], None]
    log_progress: Callable[[str], None]


class StackTrainer:
    """Trains the members of a stack.

    Args:
        callbacks: callbacks for this stack, and for a smaller stack of the same runs.
        state: the training state to resume from; None: from the start.
        stack_checkpoint: the file for the training state of a sweep's stack; None: the run's own last.ckpt.
        last_save: when the training state was last saved, by `perf_counter`.

    Attributes:
        best: the best weights and values of each member.
        last_weights: the network's tensors, for each member at the end of its own training.
        final_state: the training state when `fit` ended.

    Raises:
        UserError: if the stack cannot be built, or the state does not fit the network.
    """

    def __init__(
        self,
        members: Sequence[Member],
        callbacks: Sequence[StackCallback],
        state: StackState | None = None,
        stack_checkpoint: StackCheckpoint | None = None,
        last_save: float | None = None,
    ) -> None:
        self.members, self.callbacks, self.stack_checkpoint = list(members), list(callbacks), stack_checkpoint
        configs = [member.config for member in members]
        self.stack = build_stack(configs, [member.data for member in members], initialize=state is None)
        self._started = perf_counter() - (state.seconds if state else 0)
        first, loggers = configs[0], [member.loggers for member in members]
        stops = [each.callbacks.early_stopping for each in configs]
        self.best = BestWeights(len(members))
        self.stopping = EarlyStopping([each.patience for each in stops], [each.min_delta for each in stops])
        self.shrink = ShrinkStack()
        self.last_weights: dict[str, Tensor] = {}
        self.final_state: StackState | None = None
        every, minutes = first.trainer.log_every_n_steps, first.callbacks.checkpoint.every_minutes
        seconds = None if minutes is None else minutes * 60
        self.periodic_checkpoint = PeriodicCheckpoint(seconds, self.save, last_save)
        dispatcher = CallbackDispatcher(
            [
                self.best,
                EpochCurves(loggers),
                *([StepCurves(loggers, every)] if every else []),
                self.stopping,
                self.shrink,
                EpochLines([member.log_progress for member in members]),
                *callbacks,
                self.periodic_checkpoint,
                AtEnd(self._keep_final_state),
            ]
        )
        self.trainer = build_trainer(self.stack, dispatcher, loggers, str(members[0].folder.path))
        if state:
            self.stack.datamodule.position = state.batch
            try:
                stack_state.restore(state, self.trainer, self.stack.module, self.best, self.stopping)
            except (RuntimeError, LookupError, ValueError) as error:
                where = str(stack_checkpoint.path if stack_checkpoint else members[0].folder.last)
                what = "contains the state of a different network"
                raise UserError(Fault(what, where, remedy="start a new run")) from error

    def fit(self) -> None:
        """Trains to the end, until few members are left, or until a signal is received."""
        self.trainer.fit(self.stack.module, datamodule=self.stack.datamodule)
        if self.final_state is None:  # there was nothing left to train
            self._keep_final_state()

    def _keep_final_state(self) -> None:
        with self.stack.module.optimizer.averaged():
            self.last_weights = self.stopping.last_state(self.stack.module)
        self.final_state = self.state()

    def ended_members(self, *, interrupted: bool) -> list[int]:
        """The members whose training is over."""
        module = self.stack.module
        if not (interrupted or self.shrink.triggered):
            return list(range(len(self.members)))
        over = ~module.active | (module.epochs >= (self.trainer.max_epochs or 0))
        return over.nonzero().flatten().tolist()

    def without_stopped_members(self) -> "StackTrainer":
        """The trainer of a smaller stack, which resumes with the members that are still active."""
        left = self.stack.module.active.nonzero().flatten().tolist()
        assert self.final_state is not None
        members, state = [self.members[index] for index in left], self.final_state.select(left)
        last_save = self.periodic_checkpoint.last
        return StackTrainer(members, self.callbacks, state, self.stack_checkpoint, last_save)

    def state(self) -> StackState:
        """The current training state."""
        return stack_state.capture(self.trainer, self.stack.module, self.best, self.stopping, self.seconds)

    def save(self) -> None:
        """Saves the current training state to the stack's file, or to the run's last.ckpt.

        Weights that are not finite never replace finite ones.
        """
        for member in self.members:
            flush_loggers(member.loggers)
        state = self.state()
        if self.stack_checkpoint:
            self.stack_checkpoint.save({each.folder.path: each.data for each in self.members}, state)
        elif all(tensor.isfinite().all() for tensor in state.members["network"].values()):
            metrics, path = self.metrics(0, tested=False), self.members[0].folder.last
            self.save_checkpoint(0, path, state.members["network"], metrics["epochs"], metrics, state)

    def save_checkpoint(
        self,
        index: int,
        path: Path,
        network: Mapping[str, Tensor],
        epoch: int,
        metrics: Metrics,
        state: StackState | None = None,
        seen: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Writes the checkpoint of a member.

        Args:
            index: the number of the member.
            network: the network's tensors, for all members.
            epoch: number of epochs of training.
            metrics: the member's metrics.
            state: the training state, if training can resume from the checkpoint.
            seen: hashes of the rows in training and validation.
        """
        member = self.members[index]
        checkpoint.save(
            path,
            {name: tensor[index : index + 1] for name, tensor in network.items()},
            config=member.config.plain(),
            schema=self.stack.table.schema.plain(),
            table=member.data.fingerprint,
            epoch=epoch,
            metrics=metrics,
            training=state.plain() if state else None,
            seen=None if seen is None else {part: torch.from_numpy(rows) for part, rows in seen.items()},
        )

    def metrics(self, index: int, *, tested: bool) -> Metrics:
        """The metrics of a member's best epoch, and of its test if it was tested."""
        metrics: Metrics = {}
        best, module = self.best, self.stack.module
        if best.epochs[index]:
            metrics |= {name: value[index].item() for name, value in best.values.items() if name != "lr"}
            metrics["best_epoch"] = int(best.epochs[index])
        metrics["epochs"] = int(module.epochs[index])
        if tested:
            metrics |= {
                name: value[index].item() for name, value in module.values.items() if name.startswith("test/")
            }
            if module.sizes.classes:
                metrics["temperature"] = best.state[TEMPERATURE][index].item()
        return finite(metrics)

    @property
    def seconds(self) -> float:
        """Seconds of training, without the time between saving and resuming."""
        return perf_counter() - self._started

    @property
    def device(self) -> str:
        """The name of the device."""
        device = self.trainer.strategy.root_device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def test(self, members: Sequence[int]) -> None:
        """Tests each member's best weights; the scores are in the module's `values`.

        Args:
            members: the members whose probabilities are calibrated before that.
        """
        module = self.stack.module
        module.network.load_state_dict(self.best.state)
        transform = module.network.preprocessing.target_transform
        if isinstance(transform, ClassProbabilities):
            loader, rows = self.stack.datamodule.val_dataloader(), module.sizes.val
            found = temperatures(module.network, loader, rows)
            transform.temperature[list(members)] = found[list(members)]
            self.best.state = module.network.state_dict()
        self.trainer.test(module, datamodule=self.stack.datamodule, verbose=False)

    def test_predictions(self, index: int) -> Predicted:
        """The predictions of a member for its test rows, after `test`."""
        batches = [each[index] for each in self.stack.module.test.predictions]
        return torch.cat(batches)[: len(self.members[index].data.split.test)].cpu().numpy()
