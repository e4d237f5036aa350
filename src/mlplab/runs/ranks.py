"""The processes that train one network over several devices.

Rank 0 is the command's own process, which has the run folder. It starts the other ranks for as long as it
trains. They get its configuration, read the table again, and write nothing.
"""

import logging
import os
import pickle
import shutil
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Semaphore, Thread
from types import TracebackType

from mlplab.config import CsvData, TrainConfig
from mlplab.data.cache import DataCache, RunData
from mlplab.data.loader import Share
from mlplab.errors import RunFailed, reason_of
from mlplab.runs.build import lightning_quiet
from mlplab.runs.folder import RunFolder
from mlplab.runs.stack_trainer import StackTrainer, TrainingRun
from mlplab.training.cpu_settings import cpu_settings_for_training
from mlplab.training.ranks import SIGNALS, RankGroup, RankLost
from mlplab.training.state import StackState

GRACE = 30.0
"""Seconds that rank 0 has to notice by itself that another rank has died; some libraries wait for minutes."""

ALL_IN_MEMORY, NONE_IN_MEMORY = 2.0**30, 2.0**-30
"""Values of `data.memory_gib`."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RankJob:
    """What all ranks train.

    Args:
        fingerprint: of the table and the split.
        state: the training state to resume from, pickled: multiprocessing would share its tensors in files.
        store: the file through which the ranks find each other.
    """

    config: TrainConfig
    folder: Path
    memmapped: bool
    fingerprint: dict[str, int | str]
    state: bytes
    store: Path


@dataclass(frozen=True)
class _Process:
    """A further rank, as rank 0 sees it.

    Args:
        reports: None when it is ready; then why it has failed, with the traceback.
    """

    name: str
    process: BaseProcess
    reports: Connection
    _turns: Semaphore = field(default_factory=Semaphore)

    def exit_code(self) -> int | None:
        """Its exit code, for which this waits; None if it does not end."""
        with self._turns:  # of two threads that wait for a process, one may find no code
            self.process.join(GRACE)
            return self.process.exitcode

    def failure(self) -> str:
        """Why it has failed, by its next report, for which this waits; empty if it has not."""
        try:
            report: tuple[str, str] | None = self.reports.recv()
        except EOFError:
            code = self.exit_code() or 0
            end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            return f"{self.name} was {end}"
        if report is None or not report[0]:
            return ""
        log.debug("%s: %s", self.name, report[1])  # in train.log only
        return f"{self.name} failed: {report[0]}"


class RankProcesses:
    """The other ranks of a run. A context manager: they live within its block, where rank 0 trains.

    Args:
        state: the training state to resume from.
        store: a new file through which the ranks find each other.

    Attributes:
        group: all ranks, as rank 0 sees them.

    Raises:
        RunFailed: on entry, if a rank cannot start; on exit, if rank 0 has lost one.
    """

    def __init__(
        self, run: TrainConfig, folder: Path, data: RunData, state: StackState | None, store: Path
    ) -> None:
        memmapped = data.table.memmapped
        self.job = RankJob(run, folder, memmapped, data.fingerprint, pickle.dumps(state), store)
        self.group = RankGroup(Share(0, run.trainer.devices), store)
        self._others: list[_Process] = []
        self._over = Event()

    def __enter__(self) -> "RankProcesses":
        context, ranks = get_context("spawn"), self.group.share.ranks
        with _signals_blocked():
            for rank in range(1, ranks):
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_train, args=(self.job, Share(rank, ranks), sender))
                process.start()
                sender.close()
                self._others.append(_Process(f"process {rank + 1} of {ranks}", process, receiver))
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = self._failure() if isinstance(error, RankLost) else ""
        self._end(patience=0 if error else GRACE)
        if failure:
            raise RunFailed(failure) from error

    def _wait_until_ready(self) -> None:
        waiting = {other.reports: other for other in self._others}
        while waiting:
            for reports in connection.wait(list(waiting)):
                assert isinstance(reports, Connection)
                if failure := waiting.pop(reports).failure():
                    raise RunFailed(failure)

    def _failure(self) -> str:
        """Why a rank was lost."""
        connection.wait([other.reports for other in self._others], GRACE)
        failures = [other.failure() for other in self._others if other.reports.poll()]
        return next((each for each in failures if each), "a process that trains the network does not answer")

    def _watch(self) -> None:
        """Ends this process if a rank dies and it waits for that rank forever."""
        alive = {other.process.sentinel: other for other in self._others}
        while alive:
            ended = connection.wait(list(alive))
            for other in [alive.pop(sentinel) for sentinel in list(alive) if sentinel in ended]:
                if other.exit_code() and not self._over.wait(GRACE) and self.group.in_training:
                    failure = other.failure()
                    RunFolder(self.job.folder).write_metrics("failed", {}, failure)
                    log.error("%s", failure)
                    shutil.rmtree(self.job.store.parent, ignore_errors=True)
                    os._exit(1)

    def _end(self, patience: float = 0) -> None:
        """Ends the other ranks, which may have something left to do for `patience` seconds."""
        self._over.set()
        for other in self._others:
            other.process.join(patience)
            other.process.kill()
            other.process.join()
        self.group.disconnect()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Blocks signals in processes that are started within it, until they are ready for them."""
    resource_tracker.ensure_running()  # or multiprocessing starts it with the first process, and unblocks
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _FurtherTrainer(StackTrainer):
    """Trains as rank 0 does, and saves nothing."""

    def save(self) -> None:
        """Does nothing."""


def _train(job: RankJob, share: Share, reports: Connection) -> None:
    """Trains as a further rank."""
    Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("mlplab").addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), lightning_quiet():
        try:
            _train_quietly(job, share, reports)
        except BaseException as error:
            reason = "" if isinstance(error, RankLost) else reason_of(error)  # rank 0 has lost the same one
            reports.send((reason, traceback.format_exc()))
            os._exit(1)  # without waiting for others


def _train_quietly(job: RankJob, share: Share, reports: Connection) -> None:
    group, run = RankGroup(share, job.store), job.config
    with group:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if isinstance(run.data, CsvData):  # free memory may have changed
            memory = NONE_IN_MEMORY if job.memmapped else ALL_IN_MEMORY
            run = run.model_copy(update={"data": run.data.model_copy(update={"memory_gib": memory})})
        data = DataCache().data(run)
        data.check_unchanged(job.fingerprint, "run the command again")
        training = TrainingRun(run, data, RunFolder(job.folder), [], _no_log, _no_log)
        trainer = _FurtherTrainer([training], [group], pickle.loads(job.state), group=group)
        with cpu_settings_for_training(run.threads):
            reports.send(None)
            trainer.fit()


def _no_log(line: str) -> None:
    """Logs nothing."""


def _end_with_parent() -> None:
    """Ends this process when rank 0 has died."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
