"""What all engines have in common. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future

from mlplab.data.cache import DataCache
from mlplab.sweeps.engines.worker import Assignment, Reply


class WorkerLost(Exception):  # noqa: N818 - it names what happened
    """A worker has ended without a reply: it was killed, or its machine was lost."""


class Engine(ABC):
    """Hands stacks to workers."""

    @abstractmethod
    def room(self, working: int) -> int:
        """How many more stacks it takes while that many train."""

    @abstractmethod
    def submit(self, assignments: Sequence[Assignment], cache: DataCache) -> list[Future[Reply]]:
        """Hands stacks over.

        Args:
            cache: the tables of the sweep.

        Returns:
            For each the worker's reply, or `WorkerLost`.
        """

    @abstractmethod
    def stop(self) -> str:
        """Stops all workers, which save their state; returns what a user should know about it."""

    def kill(self) -> None:  # noqa: B027 - not all can
        """Ends workers on this machine that do not stop."""

    @abstractmethod
    def close(self) -> None:
        """Ends the workers."""


class Cluster(Engine):
    """An engine whose workers may be on other machines.

    Attributes:
        place: its name in messages.
        slots: the number of stacks that train at a time, as far as it is known.
    """

    place: str
    slots: int
