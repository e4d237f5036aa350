"""Stops training on SIGINT and SIGTERM."""

import signal
from types import FrameType
from typing import TYPE_CHECKING

from mlplab.signals import stop_signals
from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.private_interfaces import forget_sigterm

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class StopOnSignal(StackCallback):
    """Stops training after the current step on SIGINT or SIGTERM, which `handler` receives."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def handler(self, number: int, frame: FrameType | None) -> None:
        """Receives a signal."""
        self.received = signal.Signals(number)

    def on_start(self, stack: "StackTrainer") -> None:
        """Replaces Lightning's handlers, which exit with code 0 on SIGTERM and have called ours."""
        for number in stop_signals():
            signal.signal(number, self.handler)
        forget_sigterm(stack.trainer)
        stack.trainer.should_stop |= self.received is not None

    def on_step(self, stack: "StackTrainer") -> None:
        """Ends an unfinished epoch; with `should_stop` alone, Lightning would validate first."""
        if self.received and stack.module.progress.step < stack.module.progress.steps:
            stack.trainer.should_stop = stack.module.is_interrupted = True

    def on_epoch(self, stack: "StackTrainer") -> None:
        """Starts no further epoch."""
        stack.trainer.should_stop |= self.received is not None
