"""Trains a stack: one `Trainer.fit`, from the start or a training state, until few runs are left."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from jaxtyping import Float64

from mlplab.config.metrics import DEFAULT_THRESHOLD, sign_of
from mlplab.data.splits.split import Rows
from mlplab.errors import Fault, UserError
from mlplab.models.targets import ClassProbabilities
from mlplab.conformal.residuals import residuals_of
from mlplab.runs.film.size import film_steps
from mlplab.runs.folder import Metrics, Status, finite
from mlplab.runs.predictions import Predicted, out_of_fold
from mlplab.runs.run import Run, activations, member_configs
from mlplab.training.scoring.scores import table_scores, table_threshold
from mlplab.training.stack.build import build_stack
from mlplab.runs.stack.checkpoints import save_run, save_stack_state
from mlplab.runs.stack.score_test_rows import ScoredTestRows, score_test_rows
from mlplab.runs.warm_start import trained_before
from mlplab.training import state as stack_state
from mlplab.training.callbacks.best_weights import BestWeights, epoch_voters
from mlplab.training.callbacks.early_stopping import EarlyStopping, ShrinkStack
from mlplab.runs.film.frames import FilmFrames
from mlplab.training.callbacks.periodic_checkpoint import PeriodicCheckpoint
from mlplab.training.callbacks.pruning import Pruning
from mlplab.training.callbacks.stack_callback import StackCallback, Tensors
from mlplab.training.callbacks.stage_stopping import StageStopping
from mlplab.runs.loggers.curves import EpochCurves, StepCurves
from mlplab.runs.loggers.files import flush_loggers
from mlplab.runs.loggers.progress import EpochLines
from mlplab.training.scoring.calibration import held_out_outputs, linear_shares, mean_weights, temperatures
from mlplab.training.scoring.evaluation import outputs
from mlplab.training.state import StackState
from mlplab.training.trainer import build_trainer

TEMPERATURE, LINEAR_SHARE = "preprocessing.target_transform.temperature", "linear_path.share"
"""The name of a tensor in a network's state."""

WEIGHT = "weight/"
"""Prefix of metrics: how much the networks with an activation weigh in the mean prediction."""


class StackTrainer:
    """Trains the runs of a stack, each of which is one member, or several if it is an ensemble.

    Args:
        runs: with ensembles of equal size.
        callbacks: for this stack, and for a smaller stack of the same runs.
        stack_file: the file for the training state of a sweep's stack; None: each run's own last.ckpt.
        last_save: when the training state was last saved, by `perf_counter`.

    Attributes:
        last_weights: the network's tensors, for each member at the end of its own training.
        final_state: the training state when `fit` ended.

    Raises:
        UserError: if the stack cannot be built, or the state does not fit the network.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        callbacks: Sequence[StackCallback],
        state: StackState | None = None,
        stack_file: Path | None = None,
        last_save: float | None = None,
    ) -> None:
        self.runs, self.callbacks, self.stack_file = list(runs), list(callbacks), stack_file
        configs = [member for run in runs for member in member_configs(run.config)]
        data = [member for run in runs for member in run.data.members]
        self.stack = build_stack(configs, data, initialize=state is None)
        self._started = perf_counter() - (state.seconds if state else 0)
        first, loggers = configs[0], [run.loggers for run in runs]
        stops = [member.callbacks.early_stopping for member in configs]
        voters = epoch_voters([member.split.val for member in data], self.stack.module.ensemble)
        self.best = BestWeights(len(configs), voters)
        self.stopping = EarlyStopping([stop.patience for stop in stops], [stop.min_delta for stop in stops])
        schedules = [
            run.config.scheduler if run.config.callbacks.early_stopping.patience == "auto" else None
            for run in runs
        ]
        stages = StageStopping(schedules, self.best, self.stopping)
        self.pruning = Pruning([run.bracket for run in runs], self.best, self.stopping)
        self.shrink = ShrinkStack()
        total = self.stack.module.max_epochs * self.stack.module.steps
        self.film = FilmFrames(film_steps(runs[0].config, self.stack.module.network, total))
        self.last_weights: Tensors = {}
        self.final_state: StackState | None = None
        self._held_out: Float64[np.ndarray, "member row output"] | None = None
        steps = first.trainer.log_every_n_steps
        minutes = first.callbacks.checkpoint.every_minutes
        self.periodic_checkpoint = PeriodicCheckpoint(minutes, self.save, last_save)
        self.stack.module.callbacks = [
            self.best,
            *([self.film] if first.callbacks.film else []),
            EpochCurves(loggers, self.best),
            *([StepCurves(loggers, steps)] if steps else []),
            self.stopping,
            stages,
            self.pruning,
            self.shrink,
            EpochLines([run.log_progress for run in runs]),
            *callbacks,
            self.periodic_checkpoint,
        ]
        self.stack.module.at_end = self._on_end
        all_loggers = [logger for run_loggers in loggers for logger in run_loggers]
        folder = str(runs[0].folder)
        self.trainer = build_trainer(self.stack.module, all_loggers, folder)
        self._parts = self.trainer, self.stack.module, self.best, self.stopping, self.pruning, self.film
        if state:
            self.stack.datamodule.start_at(state.epoch, state.batch)
            try:
                stack_state.restore(state, *self._parts)
            except (RuntimeError, LookupError, TypeError, ValueError) as error:
                what, where = "contains the state of a different network", stack_file or runs[0].files.last
                raise UserError(Fault(what, str(where), remedy="start a new run")) from error

    def fit(self) -> None:
        """Trains to the end, until few runs are left, or until a signal is received."""
        self.trainer.fit(self.stack.module, datamodule=self.stack.datamodule)
        if self.final_state is None:  # there was nothing left to train
            self._on_end()

    def _on_end(self) -> None:
        with self.stack.module.optimizer.averaged():
            self.last_weights = self.stopping.last_weights(self.stack.module)
        self.final_state = self.state()

    def members(self, run: int) -> list[int]:
        """The members of a run."""
        first = run * self.stack.module.ensemble
        return list(range(first, first + self.stack.module.ensemble))

    def members_not_diverged(self, run: int) -> list[int]:
        """The members of a run that have not diverged; all if all have."""
        members, diverged = self.members(run), self.stack.module.diverged
        return [member for member in members if member not in diverged] or members

    def ended_runs(self, *, interrupted: bool) -> dict[int, tuple[Status, str | None]]:
        """The status of each run whose training is over, and why that was before its last epoch.

        A run has diverged if all of its members have. One whose time is over is `done`.
        """
        module, pruned, epochs = self.stack.module, self.pruning.reasons, self.stack.module.max_epochs
        ended: dict[int, tuple[Status, str | None]] = {}
        for run in range(len(self.runs)):
            members = self.members(run)
            trained = module.epochs[members] >= epochs
            if (interrupted or self.shrink.triggered) and not (trained | ~module.active[members]).all():
                continue
            if all(member in module.diverged for member in members):
                ended[run] = "diverged", module.diverged[members[0]]
            elif self.pruning.time_is_over and module.active[members].any():
                epoch = module.epochs[members].max()
                ended[run] = "done", f"the time was over after epoch {epoch} of {epochs}"
            else:
                ended[run] = ("pruned", pruned[members[0]]) if members[0] in pruned else ("done", None)
        return ended

    def without_stopped_runs(self) -> "StackTrainer":
        """The trainer of a smaller stack, which resumes with the runs that have active members."""
        left = self.stack.module.active_runs().nonzero().flatten().tolist()
        assert self.final_state is not None
        state = self.final_state.select([member for run in left for member in self.members(run)])
        runs, last_save = [self.runs[index] for index in left], self.periodic_checkpoint.last
        return StackTrainer(runs, self.callbacks, state, self.stack_file, last_save)

    def state(self) -> StackState:
        """The current training state."""
        return stack_state.capture(*self._parts, self.seconds)

    def save(self) -> None:
        """Saves the current training state, or the final one, to the stack's file or to each run's last.ckpt.

        Weights that are not finite never replace finite ones.
        """
        for run in self.runs:
            flush_loggers(run.loggers)
        # After `fit`, Lightning has moved the network off the device, and the optimizer does not see it.
        state = self.final_state or self.state()
        if self.stack_file:
            save_stack_state(self.stack_file, self.runs, state)
            return
        network = state.parts["network"]
        for index, run in enumerate(self.runs):
            members = self.members_not_diverged(index)
            if all(tensor[members].isfinite().all() for tensor in network.values()):
                run_state = state.select(self.members(index))
                save_run(run.files.last, run, network, members, self.metrics(index), run_state)

    def metrics(self, index: int, *, calibrated: bool = False) -> Metrics:
        """The metrics of a run's best epoch, of an ensemble the means of its members; and those at rungs.

        If `calibrated`, also temperature and threshold; of an ensemble scores out of fold, as `val/…`, too.
        """
        best, members, metrics = self.best, self.members_not_diverged(index), Metrics()
        if best.epochs[members].all():
            for name, value in best.values.items():
                if name != "train/lr":
                    metrics[name] = value[members].double().mean().item()
            metrics["best_epoch"] = round(best.epochs[members].double().mean().item())
        metrics["epochs"] = int(self.stack.module.epochs[members].max())
        metrics |= self.pruning.metrics(members[0], sign_of(self.stack.module.monitor))
        if not calibrated:
            return finite(metrics)
        run, module = self.runs[index], self.stack.module
        if module.ensemble > 1:
            # Not by a threshold that these rows have chosen.
            threshold = DEFAULT_THRESHOLD if run.config.threshold == "auto" else run.threshold
            quantiles = run.config.quantiles
            scores = table_scores(run.data.table, *self._validated(index), threshold, quantiles)
            metrics |= {f"{part}/{name}": value for part in ("oof", "val") for name, value in scores.items()}
            metrics["members"] = len(members)
        if module.network.linear_path is not None:
            metrics["linear_share"] = best.network[LINEAR_SHARE][members[0]].item()
        if run.member_weights:
            for name, weight in zip(self._activations(index), run.member_weights, strict=True):
                metrics[WEIGHT + name] = metrics.get(WEIGHT + name, 0) + weight
        if classes := module.schema.classes:
            metrics["temperature"] = best.network[TEMPERATURE][members[0]].item()
        if len(classes) == 2:
            metrics["threshold"] = run.threshold
        if run.config.threshold == "auto":
            metrics["threshold_rows"] = "oof" if module.ensemble > 1 else "val"
        return finite(metrics)

    def _validated(self, index: int) -> tuple[Rows, Predicted]:
        """The rows that a run holds out, and its predictions for them: out of fold, or of validation rows."""
        assert self._held_out is not None
        members = self.members_not_diverged(index)
        rows = [self.stack.data[member].split.val for member in members]
        parts = zip(members, rows, strict=True)
        return out_of_fold(rows, [self._held_out[member, : len(held_out)] for member, held_out in parts])

    @property
    def seconds(self) -> float:
        """Seconds of training, without the time between saving and resuming."""
        return perf_counter() - self._started

    def calibrate(self, runs: Sequence[int]) -> None:
        """Loads the best weights; chooses linear shares, temperatures, thresholds and the weights of members.

        The members then predict the rows that they hold out, and the runs get their residuals.
        """
        module, datamodule = self.stack.module, self.stack.datamodule
        network, rows = module.network, datamodule.val
        network.load_state_dict(self.best.network)
        transform = network.preprocessing.target_transform
        members = [self.members_not_diverged(run) for run in runs]
        held_out = held_out_outputs(network, datamodule.val_dataloader())
        z = held_out.z
        if held_out.u is not None and (path := network.linear_path):
            shares = linear_shares(network, held_out, rows, members)
            for index, share in zip(runs, shares, strict=True):
                path.share[self.members(index)] = share
            z = path.combine(z, held_out.u, path.share)
            self._score_validation_rows(runs)
        if isinstance(transform, ClassProbabilities):
            fitted = temperatures(z, held_out, rows, members)
            for index, temperature in zip(runs, fitted, strict=True):
                transform.temperature[self.members(index)] = temperature.to(transform.temperature)
        self.best.network = network.state_dict()
        self._held_out = transform.inverse_transform(z).cpu().numpy()
        for index in runs:
            run, wanted = self.runs[index], self.runs[index].config.threshold
            if wanted == "auto":
                wanted = table_threshold(run.data.table, *self._validated(index), run.config.threshold_metric)
            run.threshold = wanted
            self._weigh_members(index)
            if not trained_before(run):  # or their errors would be too small
                run.residuals = residuals_of(run.data.table, *self._validated(index))

    def _weigh_members(self, index: int) -> None:
        """Sets the weights of a run's members, if their errors can be compared.

        The members hold out different rows. Groups, periods and rare classes may be harder than others.
        """
        run, names = self.runs[index], self._activations(index)
        split, is_numbers = run.config.data.split, not self.stack.module.schema.classes
        is_random = not (getattr(split, "group", None) or getattr(split, "time", None))
        if len(set(names)) > 1 and is_numbers and is_random:
            errors = self.best.values["val/mae"][self.members_not_diverged(index)]
            run.member_weights = mean_weights(errors.double().cpu().numpy(), names)

    def _activations(self, index: int) -> list[str]:
        """Those of the members of a run that have not diverged."""
        names, members = activations(self.runs[index].config), self.members_not_diverged(index)
        return [names[member % self.stack.module.ensemble] for member in members] if names else []

    def _score_validation_rows(self, runs: Sequence[int]) -> None:
        """Scores them again: in training, networks have no share of their linear model yet."""
        module, members = self.stack.module, [member for run in runs for member in self.members(run)]
        transform = module.network.preprocessing.target_transform
        for z, batch in outputs(module.network, self.stack.datamodule.val_dataloader()):
            module.val.add(z, batch, transform)
        for name, values in module.val.compute_and_reset(transform).items():
            self.best.values[f"val/{name}"][members] = values[members].to(self.best.values[f"val/{name}"])

    def score_test_rows(self, runs: Sequence[int]) -> dict[int, ScoredTestRows]:
        """Scores the best weights of some runs on their test rows, after `calibrate`."""
        self.stack.module.network.to(self.trainer.strategy.root_device)
        run_members = [(self.runs[run], self.members_not_diverged(run)) for run in runs]
        return dict(zip(runs, score_test_rows(self.stack, run_members), strict=True))
