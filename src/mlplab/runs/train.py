"""The verb train: from a configuration to a run folder with a tested network."""

import logging
import shlex
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from rich.console import Console

from mlplab.commands.render import BASELINES, SCORES, inside, score_grid, tensorboard_command
from mlplab.config import TrainConfig
from mlplab.data.cache import DataCache
from mlplab.errors import CannotWrite, Interrupted, RunFailed, UserError, listed, of_the_disk, reason_of
from mlplab.runs.build import build_loggers, build_stack, lightning_quiet
from mlplab.runs.discovery import read_metrics
from mlplab.runs.finalize import keep, record
from mlplab.runs.folder import Metrics, RunFolder, Stamp, Status, stamp_of
from mlplab.runs.resume import has_ended
from mlplab.runs.resume_state import kept_of_run
from mlplab.runs.stack_trainer import Member, StackTrainer
from mlplab.runs.warm_start import seen_test_rows
from mlplab.training import checkpoint
from mlplab.training import loggers as curves
from mlplab.training.callbacks import PeriodicCheckpoint, StopOnSignal
from mlplab.training.processor import processor_for_training
from mlplab.training.progress import ProgressBar
from mlplab.training.state import StackState

MANY_REPEATED = 0.05
"""Share of the test rows from which on it is a warning that training sees the same rows."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One configuration, and the folder that its run is to fill.

    Args:
        begun: of the folder if it is this run's already, from before what it has kept was read.
    """

    config: TrainConfig
    folder: Path
    begun: Stamp | None = None


def train(
    runs: Sequence[Run],
    console: Console,
    cache: DataCache | None = None,
    title: str | None = None,
    kept: StackState | None = None,
    stack_file: Path | None = None,
) -> list[Metrics]:
    """Trains runs that share a table and a shape as one stack, tests their best weights, fills their folders.

    A run whose loss is no longer finite ends by itself, with the status `diverged`, and the others go on.
    Gives the content of each run's metrics.json.

    Args:
        cache: tables that are read already.
        title: stands before the bar of a sweep's stack, whose runs speak in their logs only; None: the run is
            alone, and says on the terminal what it does.
        kept: what training goes on from, by runs that have begun; None: from the start.
        stack_file: takes the state of a sweep's stack while it trains; None: a run's last.ckpt does.

    Raises:
        UserError: before any folder is made, if configuration or data are wrong or a folder is in use.
        Interrupted: after SIGINT or SIGTERM, with the checkpoints written.
        CannotWrite: if the disk is full, say.
    """
    cache = cache or DataCache()
    stack = build_stack([run.config for run in runs], cache, goes_on=kept is not None)
    bars = [ProgressBar(console, title or "")] if console.is_terminal else []
    members = [_member(run, alone=title is None, shown=not bars) for run in runs]
    written: dict[Path, Metrics] = {}
    with ExitStack() as contexts:
        contexts.enter_context(processor_for_training(runs[0].config.threads))
        contexts.enter_context(lightning_quiet())
        signals = contexts.enter_context(StopOnSignal())
        minutes = runs[0].config.callbacks.checkpoint.every_minutes
        every = None if minutes is None else minutes * 60
        keeper = PeriodicCheckpoint(every, lambda: keep(session, cache, stack_file))
        session = StackTrainer(stack, members, [*bars, signals, keeper], kept)
        warnings = [_row_warnings(member, cache, started=kept is not None) for member in members]
        _claim(runs, members, kept)
        for warning in dict.fromkeys(each for own in warnings for each in own):
            log.warning("%s", warning)  # before the runs' logs are open, each of which gets its own
        for member in members:
            contexts.callback(member.folder.free)
            contexts.enter_context(member.folder.log())

        def end(index: int, status: Status, reason: str | None = None) -> None:
            member = session.members[index]
            metrics = record(session, index, cache, status, reason)
            written[member.folder.path] = metrics
            member.tell(_told(member.folder.path.name, metrics))
            if status == "done":
                member.folder.note(
                    "test " + ", ".join(f"{name} {metrics[f'test/{name}']}" for name in SCORES)
                )

        try:
            for member in members:
                member.folder.write_environment(_device(session.trainer))
                member.folder.write_schema(stack.table.schema.plain())
            _announce(session, cache, kept)
            for member, own in zip(members, warnings, strict=True):
                for warning in own:
                    member.folder.note(f"warning: {warning}")
            with ExitStack() as shown:
                for bar in bars:
                    shown.callback(bar.progress.stop)
                while True:
                    session.fit()
                    diverged, received = session.stack.module.diverged, signals.received
                    ended = session.ended(interrupted=received is not None)
                    left = len(ended) < len(session.members) and not received
                    following = session.rest(cache) if left else None
                    if received and stack_file:
                        keep(session, cache, stack_file)
                    if len(ended) > len(diverged):
                        session.test()
                    for index in ended:
                        end(index, "diverged" if index in diverged else "done", diverged.get(index))
                    if received:
                        name, step = received.name, session.trainer.global_step
                        raise Interrupted(f"stopped by {name} after step {step}", received)
                    if following is None:
                        break
                    session = following
        except BaseException as error:
            status: Status = "interrupted" if isinstance(error, Interrupted) else "failed"
            reason = reason_of(error)
            if not isinstance(error, UserError | RunFailed):
                for member in session.members:
                    member.folder.note(traceback.format_exc())
            for index, member in enumerate(session.members):
                if member.folder.path not in written:
                    with suppress(OSError):  # as it may be what is told
                        end(index, status, reason)
            if of_the_disk(error):
                raise CannotWrite(error) from error
            if isinstance(error, SystemExit):
                raise RunFailed(f"something in it asked to exit, with status {error.code}") from error
            raise
        if stack_file:
            checkpoint.remove(stack_file)
        return [written[run.folder] for run in runs]


def _member(run: Run, *, alone: bool, shown: bool) -> Member:
    """A run alone says on the terminal how far it is, if no bar does; one of a sweep in its own log only."""
    folder = RunFolder(run.folder)
    say = partial(log.log, logging.INFO if shown else logging.DEBUG) if alone else folder.note
    tell = log.info if alone else folder.note
    return Member(run.config, folder, build_loggers(run.config, str(run.folder)), say, tell)


def _claim(runs: Sequence[Run], members: Sequence[Member], kept: StackState | None) -> None:
    """Takes the folders of all runs, or of none."""
    for index, (run, member) in enumerate(zip(runs, members, strict=True)):
        try:
            if not run.begun:
                member.folder.claim(member.config.plain())
                continue
            member.folder.reopen(member.config.plain(), run.begun, anew=kept is None)
            curves.truncate(member.loggers, kept.epoch if kept else 0, kept.step if kept else 0)
        except BaseException:
            if run.begun:
                member.folder.free()
            for taken, claimed in zip(runs[:index], members[:index], strict=True):
                if taken.begun:
                    claimed.folder.free()
                else:
                    claimed.folder.release()
            raise


def _told(name: str, metrics: Metrics) -> str:
    if metrics["status"] != "done":
        return f"{metrics['status']}: {metrics['reason']}"
    return f"{name}: best epoch {metrics['best_epoch']} of {metrics['epochs']}; {metrics['seconds']:.1f} s"


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _announce(session: StackTrainer, cache: DataCache, kept: StackState | None) -> None:
    stack = session.stack
    network, steps = stack.module.network, stack.module.sizes.steps
    weights = sum(parameter[0].numel() for parameter in network.parameters())
    table, schema, device = stack.table, stack.table.schema, _device(session.trainer)
    dropped = len(table.x) - len(table.rows)
    rows = f"{len(table.x)} rows" + (f", of which {dropped} without a target are left out" if dropped else "")
    for member, split in zip(session.members, stack.splits, strict=True):
        member.tell(
            f"{table.source}: {rows}, {len(schema.inputs)} columns → {listed(schema.targets)}; "
            f"train {len(split.train)}, val {len(split.val)}, test {len(split.test)}"
        )
        repeated = cache.repeated_test_rows(member.config)
        if 0 < repeated <= MANY_REPEATED * len(split.test):
            what = f"{repeated:,} of the {len(split.test):,} test rows equal a row of train or val"
            member.tell(f"{what} in all columns")
        optimizer, epochs = member.config.optimizer, member.config.trainer.max_epochs
        member.tell(
            f"network of {weights} weights; {optimizer.name}, lr {optimizer.lr:g}; "
            f"up to {epochs} epochs of {steps} steps on {device}"
        )
        if kept:
            member.tell(f"goes on after epoch {kept.epoch}, step {kept.step}")


def _row_warnings(member: Member, cache: DataCache, *, started: bool) -> list[str]:
    """What makes a run's test scores too good: test rows that training sees, or has seen before.

    Args:
        started: whether its training goes on, whose weights are its own by now.
    """
    run = member.config
    repeated, test = cache.repeated_test_rows(run), len(cache.split(run).test)
    warnings = [seen_test_rows(run, cache)] if run.init_from and not started else []
    if repeated > MANY_REPEATED * test:
        what = f"{repeated:,} of the {test:,} test rows equal a row of train or val in all columns"
        warnings.append(f"{what}; if they are copies, the test scores are too good: leave copies out")
    return [each for each in warnings if each]


def train_one(run: TrainConfig, folder: Path, cache: DataCache, *, begun: bool = False) -> None:
    """Trains one run and prints what came of it; one that has ended well says so.

    Args:
        cache: tables and splits that have been read already are not read again.
        begun: the folder is this run's already; it goes on from its last.ckpt, or starts again without one.

    Raises:
        RunFailed: if its loss is no longer finite; and as `train`.
    """
    console, kept, stamp = Console(), None, stamp_of(folder)
    if begun and has_ended(folder, run):
        metrics = read_metrics(folder)
        if metrics["status"] != "done":
            raise RunFailed(f"{inside(folder)} has ended: {metrics['reason']}")
        log.info("%s has ended well already", inside(folder))
        _show(metrics, folder, console)
        return
    if begun:
        kept = kept_of_run(folder, run, cache)
        if kept is None:
            log.info("%s has nothing to go on from: begins again", inside(folder))
    try:
        [metrics] = train([Run(run, folder, stamp if begun else None)], console, cache, kept=kept)
    except Interrupted as error:
        where = shlex.quote(str(inside(folder)))
        raise Interrupted(f"{reason_of(error)}\n  to go on: resume={where}", error.number) from error
    if metrics["status"] != "done":
        raise RunFailed(metrics["reason"])
    _show(metrics, folder, console)


def _show(metrics: Metrics, folder: Path, console: Console) -> None:
    titles = {"this network": ""} | {title: f"{name}/" for name, title in BASELINES.items()}
    console.print(
        score_grid(
            {
                title: {score: metrics[f"{prefix}test/{score}"] for score in SCORES}
                for title, prefix in titles.items()
            }
        )
    )
    for line in (f"run folder: {inside(folder)}", tensorboard_command(folder)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
