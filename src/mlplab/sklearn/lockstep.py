"""Fits that train in lockstep: a backend of joblib, by which scikit-learn runs them."""

import warnings
from asyncio import CancelledError  # unlike that of `concurrent.futures`, no Exception, which fits may catch
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any

from joblib import parallel_config
from joblib.parallel import ParallelBackendBase, SequentialBackend

from mlplab.runs.trained.ensemble import Ensemble
from mlplab.sklearn.training_set import TrainingSet, train_together

MOST_FITS = 128
"""Fits that wait for each other at most."""

FIT: "ContextVar[Fit | None]" = ContextVar("fit", default=None)
"""The fit that runs in this thread, if it trains with others."""


class Fit(Thread):
    """A call that fits an estimator. It stops where it would train, until it gets the networks.

    Attributes:
        training_set: what it waits to train on; None while it runs, and once it has ended.
        ended: what the call has returned or raised.
        is_reported: whether joblib knows that it has ended.
    """

    def __init__(self, call: Callable[[], object], at_end: Callable[[object], object]) -> None:
        super().__init__(daemon=True)
        self._call, self.at_end, self._context = call, at_end, copy_context()
        self._asked, self._given = SimpleQueue[TrainingSet | None](), SimpleQueue[Ensemble | BaseException]()
        self.training_set: TrainingSet | None = None
        self.ended, self.is_reported = Future[object](), False

    def run(self) -> None:
        """Called by the thread itself."""
        self._context.run(FIT.set, self)
        try:
            self.ended.set_result(self._context.run(self._call))
        except BaseException as error:
            self.ended.set_exception(error)
        self._asked.put(None)

    def networks(self, training_set: TrainingSet) -> Ensemble:
        """Called by the thread itself: waits for the networks, or raises why there are none."""
        self._asked.put(training_set)
        if isinstance(networks := self._given.get(), BaseException):
            raise networks
        return networks

    def until_stopped(self) -> None:
        """Waits until it would train, or has ended."""
        self.training_set = self._asked.get()

    def go_on(self, networks: Ensemble | BaseException) -> None:
        """Gives it networks, or why there are none, and waits until it would train again, or has ended."""
        self.training_set = None
        self._given.put(networks)
        self.until_stopped()

    def abandon(self) -> None:
        """Ends it where it would train, as another has failed; not before, since it may be computing."""
        self._given.put(CancelledError())
        if self.training_set:
            self.join()


class _LockstepBackend(ParallelBackendBase):  # type: ignore[misc] # without types
    """Runs fits one after another up to their training, trains them together, and lets each go on."""

    uses_threads = supports_sharedmem = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._fits: list[Fit] = []
        self._warnings = ExitStack()

    def start_call(self) -> None:
        """Keeps the filters of warnings, which fits that wait for each other leave in another order."""
        self._warnings.enter_context(warnings.catch_warnings())

    def stop_call(self) -> None:
        """Restores them."""
        self._warnings.close()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Half as many as joblib sends at once."""
        return MOST_FITS // 2

    def submit(self, func: Callable[[], object], callback: Callable[[object], object]) -> Fit:
        """Runs a call until it would train."""
        fit = Fit(func, callback)
        self._fits.append(fit)
        fit.start()
        fit.until_stopped()
        return fit

    def retrieve_result(self, out: Fit, timeout: float | None = None) -> object:
        """What a call returns: it goes on with all that were sent."""
        self._report_ended()
        while out.training_set:
            waiting = [(fit, fit.training_set) for fit in self._fits if fit.training_set]
            networks_of_fits = train_together([training_set for _, training_set in waiting])
            for (fit, _), networks in zip(waiting, networks_of_fits, strict=True):
                fit.go_on(networks)
            self._report_ended()
        self._fits.remove(out)
        return out.ended.result()

    def _report_ended(self) -> None:
        """Tells joblib, which then sends further calls."""
        while ended := [fit for fit in self._fits if not (fit.training_set or fit.is_reported)]:
            for fit in ended:
                fit.is_reported = True
                fit.at_end(fit)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Ends the calls that wait."""
        for fit in self._fits:
            fit.abandon()
        self._fits.clear()

    terminate = abort_everything  # of the Parallel that sent the calls, whose results are known by then

    def get_nested_backend(self) -> tuple[ParallelBackendBase, int]:
        """Fits within a fit run one after another."""
        return SequentialBackend(nesting_level=1), 1


@contextmanager
def in_lockstep() -> Iterator[None]:
    """Within the block, estimators that scikit-learn fits in parallel train in lockstep."""
    backend = _LockstepBackend()
    with parallel_config(backend=backend, n_jobs=-1):
        try:
            yield
        finally:
            backend.abort_everything()
