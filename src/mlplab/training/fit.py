"""Trains runs in memory. What is to become of them, observers decide."""

from collections.abc import Sequence
from contextlib import ExitStack

from mlplab.cpu_settings import cpu_settings_for_training
from mlplab.errors import Interrupted, RunFailed, reason_of
from mlplab.signals import handle_signals
from mlplab.training.callbacks.stop_on_signal import StopOnSignal
from mlplab.training.observer import Observer
from mlplab.training.outcome import Status
from mlplab.training.run import Run
from mlplab.training.stack.stack_trainer import StackTrainer
from mlplab.training.state import StackState
from mlplab.training.trainer import lightning_quiet


def fit(runs: Sequence[Run], observers: Sequence[Observer] = (), state: StackState | None = None) -> None:
    """Trains runs that share the columns of a table and a network shape; calibrates and tests them.

    As each run ends, `Observer.ended` gets its outcome. A run whose loss becomes non-finite ends with the
    status `diverged`, and one that is not among the best at a rung of its bracket with the status `pruned`;
    the others continue.

    Args:
        state: that of these runs, from which they go on; None: from the beginning.

    Raises:
        UserError: if the runs cannot be built. No observer was called then.
        WrongStateError: if the state is not one of these runs.
        Interrupted: after SIGINT or SIGTERM; the outcomes hold the training states.
        RunFailed: if a custom class exits.
    """
    signals, left = StopOnSignal(), list(runs)
    with ExitStack() as contexts:
        contexts.enter_context(lightning_quiet())
        stack = StackTrainer(runs, observers, signals, state)
        contexts.enter_context(cpu_settings_for_training(runs[0].config.threads))
        # Until now, a signal ends the process at once.
        contexts.enter_context(handle_signals(signals.handler))
        try:
            for observer in observers:
                observer.on_fit_start(stack)
            while left:
                stack.fit()
                ended = stack.ended_runs()
                for observer in observers:
                    observer.on_stop(stack, len(ended))
                for run, outcome in stack.outcomes(ended):
                    for observer in observers:
                        observer.ended(run, outcome)
                    left.remove(run)
                if signals.received:
                    what = f"stopped by {signals.received.name} after step {stack.trainer.global_step}"
                    raise Interrupted(what, signals.received)
                if left:
                    stack = stack.without_stopped_runs()
        except BaseException as error:
            status: Status = "interrupted" if isinstance(error, Interrupted) else "failed"
            for run in left:
                place = stack.runs.index(run)
                outcome = stack.outcome(place, status, reason_of(error), error=error)
                for observer in observers:
                    observer.ended(run, outcome)
            if isinstance(error, SystemExit):
                raise RunFailed(f"a custom class called exit({error.code})") from error
            raise
