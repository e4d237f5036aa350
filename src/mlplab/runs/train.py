"""The verb train: from a configuration to a run folder with a tested network."""

import logging
import os
import shlex
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from rich.console import Console

from mlplab.config import TrainConfig
from mlplab.errors import Interrupted
from mlplab.runs.build import Stack, build_loggers, build_stack, build_trainer
from mlplab.runs.folder import Metrics, RunFolder, Status
from mlplab.runs.record import Record
from mlplab.runs.show import SCORES, score_grid
from mlplab.training.callbacks import BestWeights, Curves, EarlyStopping, Signals
from mlplab.training.module import Diverged
from mlplab.training.progress import Bar, EpochLines

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One configuration, and the folder that its run is to fill."""

    config: TrainConfig
    folder: Path


def train(runs: Sequence[Run], console: Console) -> list[Metrics]:
    """Trains runs that share a table and a shape as one stack, tests their best weights, fills their folders.

    Gives the content of each run's metrics.json.

    Raises:
        UserError: before any folder is made, if configuration or data are wrong or a folder is in use.
        Diverged: if a loss is not finite.
        Interrupted: after SIGINT or SIGTERM, with the checkpoints written.
    """
    torch.set_num_threads(runs[0].config.threads)
    stack = build_stack([run.config for run in runs])
    loggers = [build_loggers(run.config, str(run.folder)) for run in runs]
    section, stops = runs[0].config.trainer, [run.config.callbacks.early_stopping for run in runs]
    best, signals = BestWeights(), Signals()
    stopping = EarlyStopping([each.patience for each in stops], [each.min_delta for each in stops])
    bars = [Bar(console)] if console.is_terminal else []
    in_order = [
        best,
        Curves(loggers, section.log_every_n_steps),
        stopping,
        EpochLines(logging.DEBUG if bars else logging.INFO),
        *bars,
        signals,
    ]
    with ExitStack() as contexts:
        contexts.enter_context(lightning_quiet())
        trainer = build_trainer(
            stack, in_order, [each for own in loggers for each in own], str(runs[0].folder)
        )
        folders = [RunFolder.claim(run.folder, run.config.plain()) for run in runs]
        for folder in folders:
            contexts.enter_context(folder.log())
        record = Record(stack, folders, loggers, best)
        try:
            for folder in folders:
                folder.write_environment(_device(trainer))
            _announce(stack, trainer)
            with ExitStack() as shown:
                for bar in bars:
                    shown.callback(bar.progress.stop)
                trainer.fit(stack.module, datamodule=stack.data)
            record.last = stopping.last_state(stack.module)
            if signals.received:
                name, step = signals.received.name, trainer.global_step
                raise Interrupted(f"stopped by {name} after step {step}", signals.received)
            stack.module.network.load_state_dict(best.state)
            trainer.test(stack.module, datamodule=stack.data, verbose=False)
            written = record.write("done")
        except BaseException as error:
            reason = str(error).removeprefix("error: ") or type(error).__name__
            log.debug("%s: %s", _status_of(error), reason)
            record.write(_status_of(error), reason)
            raise
        for run, metrics in zip(runs, written, strict=True):
            epochs, seconds = f"best epoch {metrics['best_epoch']} of {metrics['epochs']}", metrics["seconds"]
            log.info("%s: %s; %.1f s", run.folder.name, epochs, seconds)
            log.debug("test %s", ", ".join(f"{name} {metrics[f'test/{name}']}" for name in SCORES))
        return written


@contextmanager
def lightning_quiet() -> Iterator[None]:
    """Without Lightning's banners, nor its use of what torch has deprecated since."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _status_of(error: BaseException) -> Status:
    if isinstance(error, Diverged):
        return "diverged"
    return "interrupted" if isinstance(error, Interrupted) else "failed"


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _announce(stack: Stack, trainer: Trainer) -> None:
    split, first = stack.splits[0], stack.configs[0]
    log.info(
        "%s: %d rows, %d columns → %s; train %d, val %d, test %d",
        stack.table.source,
        stack.table.frame.height,
        len(stack.table.features),
        stack.table.target,
        *map(len, (split.train, split.val, split.test)),
    )
    weights = sum(parameter[0].numel() for parameter in stack.module.network.parameters())
    log.info(
        "network of %d weights; %s, lr %g; up to %d epochs of %d steps on %s",
        weights,
        first.optimizer.name,
        first.optimizer.lr,
        first.trainer.max_epochs,
        len(stack.data.train_dataloader()),
        _device(trainer),
    )


def train_one(run: TrainConfig, folder: Path, console: Console | None = None) -> None:
    """Trains one run and prints what came of it; raises as `train`."""
    console = console or Console()
    [metrics] = train([Run(run, folder)], console)
    titles = {"this network": "", "ridge regression": "ridge/", "mean": "mean/"}
    console.print(
        score_grid(
            {
                title: {score: metrics[f"{prefix}test/{score}"] for score in SCORES}
                for title, prefix in titles.items()
            }
        )
    )
    inside = folder.resolve().is_relative_to(Path.cwd())
    shown = folder.resolve().relative_to(Path.cwd()) if inside else folder
    # `uv run ` for those who came that way: their shell knows no tensorboard.
    launcher = "uv run " if "UV_RUN_RECURSION_DEPTH" in os.environ else ""
    for line in (f"run folder: {shown}", f"{launcher}tensorboard --logdir {shlex.quote(str(shown))}"):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
