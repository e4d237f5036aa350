"""Trains a stack: one `Trainer.fit`, from the start or a training state, until few runs are left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float64
from lightning.pytorch.loggers import Logger
from torch import Tensor

from mlplab.config import TrainConfig
from mlplab.config.metrics import sign_of
from mlplab.data.cache import RunData
from mlplab.data.seen_rows import SeenRows
from mlplab.errors import Fault, UserError
from mlplab.models.class_probabilities import ClassProbabilities
from mlplab.runs.build import build_stack, build_trainer
from mlplab.runs.folder import Metrics, RunFolder, Status, finite
from mlplab.runs.members import member_configs
from mlplab.runs.out_of_fold import disjoint_members, out_of_fold
from mlplab.runs.resume_state import StackCheckpoint
from mlplab.runs.run_test import RunTest, member_mean
from mlplab.runs.scores import Scores, table_scores
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
from mlplab.training.evaluation import predictions
from mlplab.training.loggers.curves import EpochCurves, StepCurves
from mlplab.training.loggers.files import flush_loggers
from mlplab.training.loggers.histograms import Histograms
from mlplab.training.progress import EpochLines
from mlplab.training.pruning import Pruning
from mlplab.training.rungs import Bracket
from mlplab.training.state import StackState

TEMPERATURE = "preprocessing.target_transform.temperature"
"""The name of a tensor in a network's state."""


@dataclass(frozen=True)
class TrainingRun:
    """A run in training. It is one member of the stack, or several if it is an ensemble.

    Args:
        log: logs a line about the run.
        log_progress: logs a line about its progress.
        bracket: the rungs at which it may be pruned.
    """

    config: TrainConfig
    data: RunData
    folder: RunFolder
    loggers: Sequence[Logger]
    log: Callable[[str], None]
    log_progress: Callable[[str], None]
    bracket: Bracket | None = None


class StackTrainer:
    """Trains the runs of a stack.

    Args:
        runs: with ensembles of equal size.
        callbacks: callbacks for this stack, and for a smaller stack of the same runs.
        state: the training state to resume from; None: from the start.
        stack_checkpoint: the file for the training state of a sweep's stack; None: the run's own last.ckpt.
        last_save: when the training state was last saved, by `perf_counter`.

    Attributes:
        best: the best weights and values of each member.
        last_weights: the network's tensors, for each member at the end of its own training.
        final_state: the training state when `fit` ended.
        held_out: the predictions of ensembles' members for the rows that they hold out, after `calibrate`.

    Raises:
        UserError: if the stack cannot be built, or the state does not fit the network.
    """

    def __init__(
        self,
        runs: Sequence[TrainingRun],
        callbacks: Sequence[StackCallback],
        state: StackState | None = None,
        stack_checkpoint: StackCheckpoint | None = None,
        last_save: float | None = None,
    ) -> None:
        self.runs, self.callbacks, self.stack_checkpoint = list(runs), list(callbacks), stack_checkpoint
        configs = [member for run in runs for member in member_configs(run.config)]
        data = [member for run in runs for member in run.data.members]
        self.stack = build_stack(configs, data, initialize=state is None)
        self._started = perf_counter() - (state.seconds if state else 0)
        first, loggers = configs[0], [run.loggers for run in runs]
        stops = [each.callbacks.early_stopping for each in configs]
        deciders = disjoint_members([each.split.val for each in data], self.stack.module.ensemble)
        self.best = BestWeights(len(configs), deciders)
        self.stopping = EarlyStopping([each.patience for each in stops], [each.min_delta for each in stops])
        self.pruning = Pruning([run.bracket for run in runs], self.best, self.stopping)
        self.shrink = ShrinkStack()
        self.last_weights: dict[str, Tensor] = {}
        self.held_out: Float64[np.ndarray, "member row output"] | None = None
        self.final_state: StackState | None = None
        every, minutes = first.trainer.log_every_n_steps, first.callbacks.checkpoint.every_minutes
        epochs = first.callbacks.histograms.every_epochs
        seconds = None if minutes is None else minutes * 60
        self.periodic_checkpoint = PeriodicCheckpoint(seconds, self.save, last_save)
        dispatcher = CallbackDispatcher(
            [
                self.best,
                EpochCurves(loggers, self.best),
                *([StepCurves(loggers, every)] if every else []),
                *([Histograms(loggers, epochs)] if epochs else []),
                self.stopping,
                self.pruning,
                self.shrink,
                EpochLines([run.log_progress for run in runs]),
                *callbacks,
                self.periodic_checkpoint,
                AtEnd(self._keep_final_state),
            ]
        )
        self.trainer = build_trainer(self.stack, dispatcher, loggers, str(runs[0].folder.path))
        if state:
            self.stack.datamodule.position = state.batch
            parts = self.trainer, self.stack.module, self.best, self.stopping, self.pruning
            try:
                stack_state.restore(state, *parts)
            except (RuntimeError, LookupError, ValueError) as error:
                where = str(stack_checkpoint.path if stack_checkpoint else runs[0].folder.last)
                what = "contains the state of a different network"
                raise UserError(Fault(what, where, remedy="start a new run")) from error

    def fit(self) -> None:
        """Trains to the end, until few runs are left, or until a signal is received."""
        self.trainer.fit(self.stack.module, datamodule=self.stack.datamodule)
        if self.final_state is None:  # there was nothing left to train
            self._keep_final_state()

    def _keep_final_state(self) -> None:
        with self.stack.module.optimizer.averaged():
            self.last_weights = self.stopping.last_state(self.stack.module)
        self.final_state = self.state()

    def members(self, run: int) -> list[int]:
        """The members of a run."""
        first = run * self.stack.module.ensemble
        return list(range(first, first + self.stack.module.ensemble))

    def sound_members(self, run: int) -> list[int]:
        """The members of a run that have not diverged; all if all have."""
        members, diverged = self.members(run), self.stack.module.diverged
        return [member for member in members if member not in diverged] or members

    def status(self, run: int) -> tuple[Status, str | None]:
        """The status of a run whose training is over, and the reason why it is not `done`.

        A run has diverged if all of its members have.
        """
        diverged, pruned, members = self.stack.module.diverged, self.pruning.reasons, self.members(run)
        if all(member in diverged for member in members):
            return "diverged", diverged[members[0]]
        return ("pruned", pruned[members[0]]) if members[0] in pruned else ("done", None)

    def ended_runs(self, *, interrupted: bool) -> list[int]:
        """The runs whose training is over."""
        module = self.stack.module
        if not (interrupted or self.shrink.triggered):
            return list(range(len(self.runs)))
        over = ~module.active | (module.epochs >= (self.trainer.max_epochs or 0))
        return over.view(-1, module.ensemble).all(1).nonzero().flatten().tolist()

    def without_stopped_runs(self) -> "StackTrainer":
        """The trainer of a smaller stack, which resumes with the runs that have active members."""
        left = self.stack.module.active_runs().nonzero().flatten().tolist()
        assert self.final_state is not None
        state = self.final_state.select([member for run in left for member in self.members(run)])
        runs, last_save = [self.runs[index] for index in left], self.periodic_checkpoint.last
        return StackTrainer(runs, self.callbacks, state, self.stack_checkpoint, last_save)

    def state(self) -> StackState:
        """The current training state."""
        parts = self.trainer, self.stack.module, self.best, self.stopping, self.pruning
        return stack_state.capture(*parts, self.seconds)

    def save(self) -> None:
        """Saves the current training state to the stack's file, or to the run's last.ckpt.

        Weights that are not finite never replace finite ones.
        """
        for run in self.runs:
            flush_loggers(run.loggers)
        state, sound = self.state(), self.sound_members(0)
        if self.stack_checkpoint:
            self.stack_checkpoint.save({each.folder.path: each.data for each in self.runs}, state)
        elif all(tensor[sound].isfinite().all() for tensor in state.members["network"].values()):
            metrics, path = self.metrics(0), self.runs[0].folder.last
            self.save_checkpoint(0, path, state.members["network"], metrics["epochs"], metrics, state)

    def save_checkpoint(
        self,
        index: int,
        path: Path,
        network: Mapping[str, Tensor],
        epoch: int,
        metrics: Metrics,
        state: StackState | None = None,
        seen: Sequence[SeenRows] = (),
    ) -> None:
        """Writes the checkpoint of a run.

        Args:
            index: the number of the run.
            network: the network's tensors, for all members.
            epoch: number of epochs of training.
            metrics: the run's metrics.
            state: the training state, if training can resume from the checkpoint.
            seen: the rows in training and validation; the run's own, and those of the run of a warm start.
        """
        run, members = self.runs[index], self.sound_members(index)
        checkpoint.save(
            path,
            {name: tensor[members] for name, tensor in network.items()},
            config=run.config.plain(),
            schema=self.stack.table.schema.plain(),
            table=run.data.fingerprint,
            epoch=epoch,
            metrics=metrics,
            member_weights={member - self.members(index)[0]: 1 / len(members) for member in members},
            training=state.plain() if state else None,
            seen=[{name: torch.from_numpy(array) for name, array in each.arrays().items()} for each in seen],
        )

    def metrics(self, index: int) -> Metrics:
        """The metrics of a run's best epoch, of an ensemble the means of its members; and those at rungs."""
        best, members = self.best, self.sound_members(index)
        metrics: Metrics = {}
        if best.epochs[members].all():
            metrics |= {
                name: member_mean(value[members]) for name, value in best.values.items() if name != "train/lr"
            }
            metrics["best_epoch"] = round(member_mean(best.epochs[members]))
        metrics["epochs"] = int(self.stack.module.epochs[members].max())
        return finite(metrics | self.pruning.metrics(members[0], sign_of(self.stack.module.monitor)))

    @property
    def seconds(self) -> float:
        """Seconds of training, without the time between saving and resuming."""
        return perf_counter() - self._started

    @property
    def device(self) -> str:
        """The name of the device."""
        device = self.trainer.strategy.root_device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def calibrate(self, runs: Sequence[int]) -> None:
        """Loads the best weights of each member, and calibrates the probabilities of these runs.

        The members of ensembles then predict the rows that they hold out.
        """
        module = self.stack.module
        module.network.load_state_dict(self.best.state)
        transform = module.network.preprocessing.target_transform
        if isinstance(transform, ClassProbabilities):
            loader, rows = self.stack.datamodule.val_dataloader(), self.stack.datamodule.val
            found = temperatures(module.network, loader, rows, [self.sound_members(run) for run in runs])
            for run, temperature in zip(runs, found, strict=True):
                transform.temperature[self.members(run)] = temperature.to(transform.temperature)
            self.best.state = module.network.state_dict()
        if module.ensemble > 1:
            self.held_out = predictions(module.network, self.stack.datamodule.val_dataloader()).cpu().numpy()

    def calibrated_metrics(self, index: int) -> Metrics:
        """The metrics of a run after `calibrate`: also the temperature of its probabilities; of an ensemble
        the scores out of fold, which are its validation scores, too."""
        module, members, metrics = self.stack.module, self.sound_members(index), self.metrics(index)
        if module.ensemble > 1:
            found = self._out_of_fold_scores(index)
            metrics |= {f"{part}/{name}": value for part in ("oof", "val") for name, value in found.items()}
            metrics["members"] = len(members)
        if module.sizes.classes:
            metrics["temperature"] = self.best.state[TEMPERATURE][members[0]].item()
        return finite(metrics)

    def _out_of_fold_scores(self, index: int) -> Scores:
        data, members = self.runs[index].data, self.sound_members(index)
        rows = [data.members[member - self.members(index)[0]].split.val for member in members]
        assert self.held_out is not None
        predicted = [self.held_out[member, : len(own)] for member, own in zip(members, rows, strict=True)]
        return table_scores(data.table, *out_of_fold(rows, predicted))

    def test(self) -> None:
        """Tests the best weights of all members, after `calibrate`."""
        self.trainer.test(self.stack.module, datamodule=self.stack.datamodule, verbose=False)

    def tested(self, index: int) -> RunTest:
        """The test of a run, after `test`."""
        run = self.runs[index]
        return RunTest(run.config, run.data, self.stack.module, self.sound_members(index))
