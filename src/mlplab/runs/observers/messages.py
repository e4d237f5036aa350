"""What the log of a run says: before training, of some epochs, and when it has ended."""

import logging
import math
import re
from collections.abc import Iterator, Sequence

from mlplab.config import CustomModel, Mlp, ResolvedConfig, UserTable
from mlplab.config.metrics import metrics_of
from mlplab.conformal.residual_quantiles import ROUNDING
from mlplab.console import plural
from mlplab.errors import listed, shortened
from mlplab.runs.observers.open_run import WatchedRun
from mlplab.runs.warm_start import seen_rows_warnings
from mlplab.training.fit import Observer, StackTrainer
from mlplab.training.outcome import AS_PLANNED, Outcome
from mlplab.training.run import Run, activations, member_configs
from mlplab.training.stack_state import StackState
from mlplab.training.trainer import device_name

log = logging.getLogger(__name__)


class Messages(Observer):
    """Writes to the log of each run.

    Args:
        state: the training state from which the runs are resumed.
        epoch_level: the level of lines about epochs: DEBUG where a progress bar shows the values.
    """

    def __init__(self, runs: Sequence[WatchedRun], state: StackState | None, epoch_level: int) -> None:
        self._runs, self._state, self._epoch_level = {run.run: run for run in runs}, state, epoch_level
        self._warnings = {run.run: _row_warnings(run, resumed=state is not None) for run in runs}
        for run, warnings in self._warnings.items():  # now: later, each open log would have those of all runs
            show_warnings(run.data.table.warned, warnings)

    def on_fit_start(self, stack: StackTrainer) -> None:
        """Writes what is known before training."""
        for run in stack.runs:
            for line in _header_lines(run, stack, self._state):
                self._runs[run].log(line)
            for warning in self._warnings[run]:
                self._runs[run].note(f"warning: {warning}")

    def on_epoch(self, stack: StackTrainer) -> None:
        """Writes the values of the first epoch, the last, and about ten in between."""
        module = stack.module
        epoch, epochs = module.progress.epoch, module.progress.max_epochs
        if epoch in (1, epochs) or epoch % max(1, epochs // 10) == 0:
            main = "val/accuracy" if module.schema.classes else "val/rmse"
            for place, run in enumerate(stack.runs):
                if stack.history.active[place]:
                    values = in_a_line(stack, ("train/loss", "val/loss", main, module.monitor), place)
                    self._runs[run].log(f"epoch {epoch}/{epochs}  {values}", self._epoch_level)

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Writes what became of a run, unless it failed."""
        if outcome.error:
            return
        to = self._runs[run]
        if outcome.reason:
            planned = outcome.status in AS_PLANNED
            to.log(outcome.reason if planned else f"{outcome.status}: {outcome.reason}")
        if outcome.status == "done":
            for line in _end_lines(to.name, run, outcome):
                to.log(line)
            metrics, part = outcome.metrics, "test" if run.config.test else "val"
            names = metrics_of(run.data.table.schema.classes, run.config.quantiles)
            scored = (name for name in names if f"{part}/{name}" in metrics)
            to.note(f"{part} " + ", ".join(f"{name} {metrics[f'{part}/{name}']}" for name in scored))


def in_a_line(stack: StackTrainer, names: Sequence[str], run: int = 0) -> str:
    """Values of a run after this epoch on one line, such as `train 0.2871  val 0.3102  mae 4.18`."""
    values = dict(zip(stack.history.names, stack.history.values[:, run].tolist(), strict=True))
    return "  ".join(f"{short_name(name)} {values[name]:.4g}" for name in dict.fromkeys(names))


def short_name(name: str) -> str:
    """A loss by the set it is computed on, a metric of val by itself."""
    return name.removesuffix("/loss") if name.endswith("/loss") else name.removeprefix("val/")


def _header_lines(run: Run, stack: StackTrainer, state: StackState | None) -> Iterator[str]:
    table, split, config, schema = run.data.table, run.data.split, run.config, run.data.table.schema
    network, optimizer, epochs = stack.module.network, config.optimizer, config.trainer.max_epochs
    dropped = len(table.x) - len(table.rows)
    rows = f"{len(table.x)} rows" + (f" ({dropped} without a target are left out)" if dropped else "")
    classes = f" ({schema.task}: {listed(map(shortened, schema.classes), 5)})" if schema.classes else ""
    sizes = f"train {len(split.train)}, val {len(split.val)}, test {len(split.test)}"
    columns = plural(len(schema.inputs), "column")
    yield f"{table.source}: {rows}, {columns} → {listed(schema.targets)}{classes}; {sizes}"
    weights = sum(parameter[0].numel() for parameter in network.parameters())
    beside = "" if network.linear_path is None else f", beside {_linear_model(run)}"
    where = device_name(config.trainer)
    yield f"network: {_body(config)}, {weights:,} weights{beside}, on {where}"
    averaged = ", averaged weights" if optimizer.weight_averaging else ""
    each = f"{stack.datamodule.steps:,} × {stack.datamodule.batch_size:,} rows"
    decays = dict.fromkeys(member.optimizer.weight_decay for member in member_configs(config))
    settings = f"lr {optimizer.lr:g}, weight decay {' or '.join(map('{:g}'.format, decays))}{averaged}"
    yield f"{optimizer.name}: {settings}; up to {epochs:,} epochs of {each}"
    if run.data.bagged:
        held_out, both = len(run.data.bagged[0].split.val), len(split.train) + len(split.val)
        part = f"about {held_out:,} of the {both:,} rows of train and val"
        yield f"ensemble: {config.ensemble} such networks; each holds out {part}"
    if state:
        yield f"resumes after epoch {state.epoch}, step {state.step}"


def _body(run: ResolvedConfig) -> str:
    model = run.model
    if not isinstance(model, Mlp):
        return model.class_path if isinstance(model, CustomModel) else model.name
    widths = model.hidden
    several = f"{len(widths)} × {widths[0]}" if len(set(widths)) == 1 else " → ".join(map(str, widths))
    names = " or ".join(dict.fromkeys(activations(run)))
    return f"{several} units ({names})" if widths else "no hidden layer"


def show_warnings(shown: set[str], warnings: Sequence[str]) -> None:
    """Shows warnings on the terminal, each once for a table, though figures differ between folds."""
    for warning in warnings:
        # Without the figures in which warnings about the same thing differ, but for those in quoted names.
        what = re.sub(r"""('.*?'|".*?")|\b\d+%|\b0\.\d+""", r"\1", warning)
        if what not in shown:
            shown.add(what)
            log.warning("%s", warning)


def _row_warnings(watched: WatchedRun, *, resumed: bool) -> list[str]:
    """Warnings about classes that a set lacks, and about what makes scores too good."""
    run, data, warnings = watched.run, watched.run.data, []
    for part, absent in data.absent_classes.items():
        if absent:
            what = "the network cannot learn to predict" if part == "train" else "it does not count"
            warnings.append(f"the {part} set has no row of {listed(map(shortened, absent), 5)}: {what}")
    if isinstance(run.config.data, UserTable):
        codes = (note for name, note in data.hidden_codes.items() if name not in run.config.data.columns)
        warnings += [*data.target_leaks, *data.time_order, *codes]
    if run.config.init_from and not resumed:
        warnings += seen_rows_warnings(watched.warm_start)
    repeated, test = data.repeated_test_rows, len(data.split.test)
    if repeated > 0.05 * test:
        what = f"{repeated:,} of the {test:,} test rows equal a row of train or val"
        what += " in all columns; if they are copies, the test scores are too optimistic"
        warnings.append(f"{what}: remove the copies")
    return warnings


def _end_lines(name: str, run: Run, outcome: Outcome) -> Iterator[str]:
    """What is said of a run when it has ended: its best epoch, what was chosen afterwards, and how long it
    took; networks that diverged, negative predictions of a target that is never negative, and quantiles for
    which too few rows were held out."""
    metrics, lost, config = outcome.metrics, outcome.diverged, run.config
    how = "stopped" if metrics["epochs"] < config.trainer.max_epochs else "ended"
    best = f"{'mean of the best' if run.data.bagged else 'best'}: {metrics['best_epoch']}"
    parts = [f"{how} after epoch {metrics['epochs']} ({best})"]
    if share := metrics.get("linear_share"):
        nothing = ": the network adds nothing here" if share == 1 else f", {1 - share:.0%} network"
        parts.append(f"the prediction is {share:.0%} {_linear_model(run)}{nothing}")
    if config.threshold == "auto":
        parts.append(f"threshold {metrics['threshold']:.3g}")
    yield f"{name}: {'; '.join(parts)}; {outcome.seconds:.1f} s"
    if lost:
        what = f"{len(lost)} of the {config.ensemble} networks diverged"
        yield f"warning: {what}; the ensemble is made of the others. {lost[0]}"
    for target, (count, of) in outcome.below_zero.items():
        what = f"{count:,} of {of:,} held-out predictions of '{target}' are below 0, unlike its values"
        yield f"warning: {what}; {_remedies(run)} prevents that"
    shares = [min(level, 1 - level) for level in config.quantiles]
    needed = math.ceil(1 / min(shares, default=1) - ROUNDING) - 1
    if (rows := min((each.rows for each in outcome.residuals), default=needed)) < needed:
        what = f"{needed} rows have to be held out to correct the outermost quantiles, but there are {rows}"
        yield f"warning: {what}; the targets are beyond them more often than their levels say"


def _remedies(run: Run) -> str:
    """The keys by which no prediction of a target is negative that never is."""
    table, clip = run.data.table, "model.preprocessing.clip_predictions=true"
    is_positive = (table.y[table.rows] > 0).all()  # all targets: others have no logarithm
    return f"{clip} or model.preprocessing.target=log" if is_positive else clip


def _linear_model(run: Run) -> str:
    return "logistic regression" if run.data.table.schema.classes else "ridge regression"
