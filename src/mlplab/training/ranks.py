"""One network over several devices: what a process, called a rank, does in step with the others.

Each rank has the whole network and takes its part of each batch. After the backward pass, the gradients of
all are added; since each divides its loss by the rows of the whole batch, the sum is the gradient of that
batch. From then on, all ranks do the same, and end up with the same bits.

torch's DistributedDataParallel is not used: our gradients are views of one matrix, which is reduced at once.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from jaxtyping import Float
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor, distributed
from torch.distributed import FileStore  # type: ignore[attr-defined]

from mlplab.data.loader import Batch, Share
from mlplab.training.callbacks import StopOnSignal
from mlplab.training.module import StackModule
from mlplab.training.optimizers import MemberOptimizer

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RankLost(Exception):  # noqa: N818 - it names what happened
    """Another rank no longer answers."""


class RankGroup(StopOnSignal):
    """The ranks that train a network, as one of them sees them.

    They are connected from the first step to the last. A signal to any of them stops all after the same step.

    Args:
        share: the rank's number, and how many there are.
        store: the file through which the ranks find each other.

    Attributes:
        noted: the signal that this rank received; `received` is the one that all of them know of.
        in_training: whether the ranks are connected, or about to be.
    """

    def __init__(self, share: Share, store: Path) -> None:
        super().__init__()
        self.share, self.store = share, store
        self.noted: signal.Signals | None = None
        self.in_training = True

    def on_start(self, trainer: Trainer, module: StackModule) -> None:
        """Connects the ranks, now that Lightning's handlers, which talk to them, are replaced."""
        super().on_start(trainer, module)
        device = trainer.strategy.root_device
        with _answered():
            distributed.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=FileStore(str(self.store), self.share.ranks),
                rank=self.share.rank,
                world_size=self.share.ranks,
                device_id=device if device.type == "cuda" else None,
            )

    def on_end(self, trainer: Trainer, module: StackModule) -> None:
        """Disconnects this rank, which tests and saves alone."""
        self.disconnect()
        self.received = self.received or self.noted

    def disconnect(self) -> None:
        """Ends the connection, if there is one."""
        self.in_training = False
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def add_up(self, gradients: Float[Tensor, "member weight"], losses: Float[Tensor, " member"]) -> None:
        """Replaces a step's gradients and losses by their sums over all ranks; learns of their signals."""
        noted = [float(self.noted == each) for each in SIGNALS]
        values = torch.cat([losses.double(), losses.new_tensor(noted, dtype=torch.float64)])
        with _answered():
            works = [distributed.all_reduce(each, async_op=True) for each in (gradients, values)]
            for work in works:
                work.wait()
        losses.copy_(values[: len(losses)])
        counts = values[len(losses) :].tolist()
        self.received = next((each for each, count in zip(SIGNALS, counts, strict=True) if count), None)

    def agree(self, values: Sequence[Tensor]) -> None:
        """Replaces values by those of rank 0."""
        with _answered():
            for value in values:
                distributed.broadcast(value, 0)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.noted = signal.Signals(number)


@contextmanager
def _answered() -> Iterator[None]:
    """Raises `RankLost` for torch's error that another rank does not answer."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise RankLost(str(error)) from error


class RankEnvironment(ClusterEnvironment):
    """Tells Lightning which rank this is; the processes are started by mlplab."""

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    @property
    def creates_processes_externally(self) -> bool:
        """So Lightning starts no processes."""
        return True

    @property
    def main_address(self) -> str:
        """Unused: the ranks are connected through a file."""
        return "localhost"

    @property
    def main_port(self) -> int:
        """Unused, too."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Never chosen by Lightning itself."""
        return False

    def world_size(self) -> int:
        """The number of ranks."""
        return self.share.ranks

    def set_world_size(self, size: int) -> None:
        """Does nothing: it is known."""

    def global_rank(self) -> int:
        """The rank."""
        return self.share.rank

    def set_global_rank(self, rank: int) -> None:
        """Does nothing: it is known."""

    def local_rank(self) -> int:
        """The rank: all are on one machine."""
        return self.share.rank

    def node_rank(self) -> int:
        """There is one machine."""
        return 0


class RankStrategy(DDPStrategy):
    """Lightning's DDP without its wrapper, and without its processes. Outside training, the rank is alone."""

    def __init__(self, group: RankGroup) -> None:
        super().__init__(cluster_environment=RankEnvironment(group.share))
        self.group = group

    def _configure_launcher(self) -> None:
        """There is none: it would set the number of threads."""

    def setup_environment(self) -> None:
        """Connects nothing: see `RankGroup.on_start`."""
        Strategy.setup_environment(self)
        self.set_world_ranks()

    def setup(self, trainer: Trainer) -> None:
        """As on a single device: the weights of all ranks are equal already."""
        self.model_to_device()
        Strategy.setup(self, trainer)

    def _setup_model(self, model: torch.nn.Module) -> torch.nn.Module:  # type: ignore[override]
        return model

    def post_backward(self, closure_loss: Tensor) -> None:
        """Adds up the gradients and the losses of all ranks."""
        module, (optimizer,) = self.lightning_module, self.optimizers
        assert isinstance(module, StackModule)
        assert isinstance(optimizer, MemberOptimizer)
        self.group.add_up(optimizer.rows["gradients"], module.train_losses.values[-1])

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        """Replaces the tensors of a dict, on their own device, by those of rank 0."""
        if not isinstance(obj, dict) or not distributed.is_initialized():
            return super().broadcast(obj, src)
        self.group.agree(list(obj.values()))
        return obj

    def batch_to_device(
        self, batch: Batch, device: torch.device | None = None, dataloader_idx: int = 0
    ) -> Batch:
        """As on a single device."""
        return batch if batch.x.device == self.root_device else batch.to(self.root_device)
