"""Cross-validation and grid search as scikit-learn's, whose fits train in lockstep."""

import warnings
from asyncio import CancelledError  # unlike that of `concurrent.futures`, no Exception, which fits may catch
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any

from joblib import parallel_config
from joblib.parallel import ParallelBackendBase, SequentialBackend
from sklearn import model_selection
from sklearn.base import BaseEstimator

from mlplab.files import Plain
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.sklearn.training_set import Input, TrainingSet, train_together

MOST_FITS = 128  # that wait for each other at most

# The fit that runs in this thread, if it trains with others.
FIT: "ContextVar[Fit | None]" = ContextVar("fit", default=None)


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

    def start_call(self) -> None:  # fits that wait for each other leave filters in another order
        self._warnings.enter_context(warnings.catch_warnings())

    def stop_call(self) -> None:
        self._warnings.close()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        return MOST_FITS // 2  # half as many as joblib sends at once

    def submit(self, func: Callable[[], object], callback: Callable[[object], object]) -> Fit:
        fit = Fit(func, callback)
        self._fits.append(fit)
        fit.start()
        fit.until_stopped()
        return fit

    def retrieve_result(self, out: Fit, timeout: float | None = None) -> object:
        self._report_ended()  # joblib then sends further calls
        while out.training_set:
            waiting = [(fit, fit.training_set) for fit in self._fits if fit.training_set]
            networks_of_fits = train_together([training_set for _, training_set in waiting])
            for (fit, _), networks in zip(waiting, networks_of_fits, strict=True):
                fit.go_on(networks)
            self._report_ended()
        self._fits.remove(out)
        return out.ended.result()

    def _report_ended(self) -> None:
        while ended := [fit for fit in self._fits if not (fit.training_set or fit.is_reported)]:
            for fit in ended:
                fit.is_reported = True
                fit.at_end(fit)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        for fit in self._fits:
            fit.abandon()
        self._fits.clear()

    terminate = abort_everything  # of the Parallel that sent the calls, whose results are known by then

    def get_nested_backend(self) -> tuple[ParallelBackendBase, int]:
        return SequentialBackend(nesting_level=1), 1  # fits within a fit run one after another


@contextmanager
def in_lockstep() -> Iterator[None]:
    """Within the block, estimators that scikit-learn fits in parallel train in lockstep."""
    backend = _LockstepBackend()
    with parallel_config(backend=backend, n_jobs=-1):
        try:
            yield
        finally:
            backend.abort_everything()


def cross_validate(estimator: BaseEstimator, X: Input, y: Input, **options: object) -> Plain:  # noqa: N803 - scikit-learn's name
    """The scores of scikit-learn's `cross_validate`, several times faster: the folds train in lockstep.

    Args:
        estimator: a `TableRegressor` or `TableClassifier`, or one that contains it, such as a pipeline.
        options: further arguments of scikit-learn's `cross_validate`, such as `cv`, `scoring` and `params`;
            `n_jobs` has no effect.

    Returns:
        As there; but `fit_time` is not the time of training.
    """
    with in_lockstep():
        return model_selection.cross_validate(estimator, X, y, **{**options, "n_jobs": None})


def grid_search(
    estimator: BaseEstimator,
    X: Input,  # noqa: N803
    y: Input,
    param_grid: Mapping[str, Sequence[object]] | Sequence[Mapping[str, Sequence[object]]],
    *,
    groups: Input = None,
    params: Mapping[str, object] | None = None,
    **options: object,
) -> model_selection.GridSearchCV:
    """A fitted `GridSearchCV`, several times faster: folds and candidates train in lockstep.

    Args:
        estimator: as in `cross_validate`.
        params: arguments of `fit`: `{"sample_weight": …}`.
        options: further arguments of `GridSearchCV`, such as `cv` and `scoring`; `n_jobs` has no effect.
    """
    search = model_selection.GridSearchCV(estimator, param_grid, **{**options, "n_jobs": None})
    with in_lockstep():
        return search.fit(X, y, **({} if groups is None else {"groups": groups}), **(params or {}))
