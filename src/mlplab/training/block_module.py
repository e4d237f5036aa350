"""A module that trains block by block: the Trainer sees consecutive optimizer steps as one training step."""

import sys
from collections.abc import Iterable

import torch
from torch import Tensor

from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.batches.loader import Batch
from mlplab.models import Network
from mlplab.training.private_interfaces import count_steps, with_signature
from mlplab.training.run import Configs
from mlplab.training.scoring.evaluation import Mean
from mlplab.training.stack_module import StackModule
from mlplab.training.step_loop import Blocks, StepLoop


class BlockModule(StackModule):
    """Makes many optimizer steps in a `training_step`, without autograd; the result is the same to the bit.

    Args:
        blocks: how training is divided.
    """

    _next_stop = 0

    def __init__(self, blocks: Blocks, network: Network, configs: Configs, data: TableDataModule) -> None:
        super().__init__(network, configs, data)
        self.blocks, self.parts, self.spans_epochs = blocks, blocks.parts, blocks.span_epochs
        self.automatic_optimization = False

    def losses_so_far(self) -> Mean:
        """The losses of the epoch's steps; takes those of the present block from its loop."""
        if "step_loop" in self.__dict__:
            self.step_loop.take_losses(self.train_losses)
        return self.train_losses

    def on_train_start(self) -> None:
        """Prepares the loop of steps."""
        self.step_loop = StepLoop(self.network, self.configs, self.optimizer)
        self._val_batches: Iterable[Batch] = self.trainer.datamodule.val_dataloader().cached()  # type: ignore[attr-defined]
        super().on_train_start()

    @with_signature
    @torch.no_grad()
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Makes the steps of a block, until training is to stop; validates where an epoch ends in between.

        The steps write the gradients and update the weights themselves: see `StepLoop`.
        """
        loop, progress = self.step_loop, self.progress
        loop.load(batch)
        left = batch.x.shape[1]
        while left and not self.is_interrupted and not self.trainer.should_stop:
            made = loop.advance(min(left, progress.steps - progress.step, self._until_stop()))
            left -= made
            progress.step += made
            count_steps(self.trainer, made)
            self.on_steps(made)
            is_epoch_over = progress.step == progress.steps or self.trainer.should_stop
            if self.spans_epochs and is_epoch_over and not self.is_interrupted:
                self._validate()
        loop.take_losses(self.train_losses)
        return None

    def _until_stop(self) -> int:
        """The number of steps until a callback has to see the network."""
        done = self.progress.total
        if done >= self._next_stop:
            stops = [callback.next_stop(done) for callback in self.step_callbacks]
            self._next_stop = min(stops, default=sys.maxsize)
        return self._next_stop - done

    def _validate(self) -> None:
        """Validates without the Trainer's loop, which takes several times as long as a small epoch."""
        self.on_validation_start()
        with self.step_loop.evaluating(), torch.inference_mode():
            for number, batch in enumerate(self._val_batches):
                self.validation_step(self.trainer.strategy.batch_to_device(batch), number)
        self.on_validation_epoch_end()
        self.on_validation_end()
