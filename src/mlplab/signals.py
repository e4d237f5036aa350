"""Signals that end a command."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def stop_signals() -> tuple[signal.Signals, ...]:
    """SIGINT and SIGTERM; none in a thread, which Python does not allow to handle signals."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()


@contextmanager
def handle_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Passes the `stop_signals` to a handler within a block."""
    previous = {number: signal.signal(number, handler) for number in stop_signals()}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
