"""The module of a stack, which trains in blocks of steps, and whose callbacks watch and may stop training."""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from mlplab.config.metrics import sign_of
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.batches.loader import Batch
from mlplab.models import Network
from mlplab.training.callbacks.stack_callback import StackCallback
from mlplab.training.mlp_module import MLPModule
from mlplab.training.private_interfaces import count_steps, with_signature
from mlplab.training.run import Configs
from mlplab.training.scoring.scores import Mean, Values
from mlplab.training.step_loop import Blocks, StepLoop

if TYPE_CHECKING:
    from mlplab.training.fit import StackTrainer


class BlockModule(MLPModule):
    """Makes a block of optimizer steps in each `training_step`, without autograd.

    The result is the same, to the bit, as that of one step at a time. The callbacks that it calls are those
    of a stack, not of the Trainer.

    Args:
        blocks: how steps are divided into blocks, each of which is one batch for the Trainer; None: a batch
            is one step.

    Attributes:
        stack: what the callbacks get. `stack.on_end` is called when training ends: after that, the Trainer
            moves the network to the CPU, and its parameters are no longer the optimizer's.
        stack_callbacks: called in this order.
        is_interrupted: whether training stops after this step, without validation.
        spans_epochs: whether the Trainer sees all epochs as one.
    """

    stack: "StackTrainer"
    stack_callbacks: Sequence[StackCallback] = ()
    step_callbacks: Sequence[StackCallback] = ()
    is_interrupted = False
    _next_stop = 0

    def __init__(
        self, network: Network, configs: Configs, data: TableDataModule, blocks: Blocks | None
    ) -> None:
        super().__init__(network, configs, data)
        self.blocks, self.automatic_optimization = blocks, blocks is None
        self.spans_epochs = blocks is not None and blocks.span_epochs
        self.parts = self.parts if blocks is None else blocks.parts

    @property
    def monitor(self) -> str:
        """The metric that decides about epochs."""
        return self.configs[0].monitor

    @property
    def monitored(self) -> Float[Tensor, " member"]:
        """The monitored metric of the last epoch, negated if its highest value is the best."""
        return sign_of(self.monitor) * self.values[self.monitor]

    @torch.no_grad()
    def scores_of_simple_models(self) -> Float[Tensor, " member"]:
        """What `monitored` would be of the better of two models: the linear path, and outputs of 0.

        Outputs of 0 are the mean of the targets, or equal probabilities.
        """
        transform, found = self.network.preprocessing.target_transform, []
        for path in (None, self.network.linear_path):
            for batch in self._val_batches:
                moved = self.trainer.strategy.batch_to_device(batch)
                zeros = moved.x.new_zeros(*moved.x.shape[:2], transform.outputs, dtype=transform.dtype)
                z = zeros if path is None else path(self.network.preprocessing(moved.x))
                self.val.add(z, moved, transform)
            found.append(self.val.compute_and_reset(transform, "val/")[self.monitor])
        return (sign_of(self.monitor) * torch.stack(found)).min(0).values.cpu()

    def batches(self, steps: int) -> int:
        """The number of batches that the Trainer sees in these steps of an epoch: steps, or blocks."""
        return math.ceil(steps / (self.blocks.steps if self.blocks else 1))

    def last_losses(self) -> Float[Tensor, " member"]:
        """Training losses of the last step, in the target's own units."""
        transform = self.network.preprocessing.target_transform
        return self.val.loss.in_target_units(self.losses_so_far().values[-1][:, -1], transform).cpu()

    def on_fit_start(self) -> None:
        """Does nothing: `StackTrainer` has begun or resumed."""

    def on_train_start(self) -> None:
        """Prepares the loop of steps, calls `on_start` of the callbacks, and begins the first epoch."""
        self._val_batches: Iterable[Batch] = self.trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
        if self.blocks:
            self.step_loop = StepLoop(self.network, self.configs, self.optimizer)
            self._val_batches = self._val_batches.cached()
        for callback in self.stack_callbacks:
            callback.on_start(self.stack)
        none = StackCallback.on_step
        self.step_callbacks = [each for each in self.stack_callbacks if type(each).on_step is not none]
        super().on_train_start()

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Calls `on_step` of the callbacks, as blocks do; ends an interrupted epoch without validation."""
        if not self.blocks:
            self.on_steps(1)
        if self.is_interrupted:
            raise StopIteration

    def on_steps(self, made: int) -> None:
        """Checks the losses of the steps made, and calls `on_step` of the callbacks."""
        self.stop_if_diverged(made)
        for callback in self.step_callbacks:
            callback.on_step(self.stack)

    def on_validation_end(self) -> None:
        """Calls `on_epoch` of the callbacks, which see the average; trains on with the last weights."""
        for callback in self.stack_callbacks:
            callback.on_epoch(self.stack)
        super().on_validation_end()

    def log_means(self, values: Values) -> None:
        """Shows the means to callbacks of the user; `self.log` would take as long as the epoch itself."""
        if self.trainer.callbacks:  # type: ignore[attr-defined]
            means = {name: value.nanmean() for name, value in values.items()}
            self.trainer.callback_metrics.update(means)

    def on_train_end(self) -> None:
        """Ends the training of the stack."""
        self.stack.on_end()

    def losses_so_far(self) -> Mean:
        """The losses of the epoch's steps; takes those of the present block from its loop."""
        if "step_loop" in self.__dict__:
            self.step_loop.take_losses(self.train_losses)
        return self.train_losses

    @with_signature
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Makes a step, or those of a block until training is to stop; validates where epochs end in it."""
        if not self.blocks:
            return super().training_step(batch, batch_idx)
        with torch.no_grad():
            self._make_block(batch)
        return None

    def _make_block(self, batch: Batch) -> None:
        loop, progress, left = self.step_loop, self.progress, batch.x.shape[1]
        loop.load(batch)
        while left and not self.is_interrupted and not self.trainer.should_stop:
            if (done := progress.total) >= self._next_stop:  # at which a callback has to see the network
                stops = [callback.next_stop(done) for callback in self.step_callbacks]
                self._next_stop = min(stops, default=sys.maxsize)
            made = loop.advance(min(left, progress.steps - progress.step, self._next_stop - done))
            left -= made
            progress.step += made
            count_steps(self.trainer, made)
            self.on_steps(made)
            is_epoch_over = progress.step == progress.steps or self.trainer.should_stop
            if self.spans_epochs and is_epoch_over and not self.is_interrupted:
                self._validate()
        loop.take_losses(self.train_losses)

    def _validate(self) -> None:
        """Validates without the Trainer's loop, which takes several times as long as a small epoch."""
        self.on_validation_start()
        with self.step_loop.evaluating(), torch.inference_mode():
            for number, batch in enumerate(self._val_batches):
                self.validation_step(self.trainer.strategy.batch_to_device(batch), number)
        self.on_validation_epoch_end()
        self.on_validation_end()
