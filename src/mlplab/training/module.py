"""The LightningModule: K networks trained in lockstep, each as if it were alone."""

import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from lightning.pytorch import LightningModule
from torch import Tensor

from mlplab import config
from mlplab.config.metrics import DEFAULT_THRESHOLD, sign_of
from mlplab.data.batches.loader import Batch
from mlplab.data.schema import Schema
from mlplab.models import Dropout, Network
from mlplab.models.targets import TargetTransform
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.optimization.schedules import step_factors
from mlplab.training.optimization.updates import clip_by_member
from mlplab.training.private_interfaces import count_steps
from mlplab.training.scoring.evaluation import Evaluation, Mean, Values
from mlplab.training.scoring.losses import batch_losses, build_loss
from mlplab.training.step_loop import Blocks, StepLoop, set_dropout_rates

if TYPE_CHECKING:
    from mlplab.training.callbacks.stack_callback import StackCallback
    from mlplab.training.fit import StackTrainer


CHECK_EVERY_STEPS = 1000
"""Steps of an epoch after which losses are checked for divergence: a table may be large."""


class StackModule(LightningModule):
    """Trains a network of K members whose configurations share a shape.

    `training_step` returns the sum of the members' losses, so that no member contributes to the gradients of
    another. The optimizer steps each member with its own settings.

    Args:
        configs: one for each member. The members of an ensemble follow each other.
        steps: number of steps per epoch.
        val: number of validation rows of each member.
        blocks: of steps, each of which the Trainer sees as one (`step_loop.py`); None: it makes each step.

    Attributes:
        ensemble: the number of members of each run.
        values: of the last epoch, one per member, on the CPU: `train/loss`, `train/lr`, `val/loss`, and the
            task's metrics such as `val/rmse` or `val/log_loss`. Regression errors are in the targets' own
            units, and so is the loss of a single target.
        active: which members have not stopped; nothing is logged or saved of a member after its stop.
        epochs: number of epochs each member has trained.
        diverged: why members have diverged, by their indices.
        stack, callbacks: the callbacks are called in order, with the stack; `at_end` is called when training
            ends. After that, the Trainer moves the network to the CPU, and its parameters are no longer the
            optimizer's.
        completed_epochs: number of epochs, validation included.
        completed_steps: number of steps of the next epoch.
        resume_from: state of the optimizer and number of its steps to resume from; None to start anew.
    """

    stack: "StackTrainer"

    def __init__(
        self,
        network: Network,
        configs: Sequence[config.ResolvedConfig],
        schema: Schema,
        steps: int,
        val: Sequence[int],
        blocks: Blocks | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.configs = list(configs)
        self.schema, self.steps, self.max_epochs = schema, steps, configs[0].trainer.max_epochs
        self.loss = build_loss([run.loss for run in configs])
        self.monitor = configs[0].monitor
        constant = config.ConstantSchedule(name="constant")
        self._schedules_are_constant = all(run.scheduler == constant for run in configs)
        named = network.named_modules()
        self.dropouts = {name: layer for name, layer in named if isinstance(layer, Dropout)}
        self.ensemble = configs[0].ensemble
        thresholds = [DEFAULT_THRESHOLD if run.threshold == "auto" else run.threshold for run in configs]
        self.val = Evaluation(self.loss, val, schema, thresholds)
        self.active: Bool[Tensor, " member"] = torch.ones(len(configs), dtype=torch.bool)
        self.epochs: Int64[Tensor, " member"] = torch.zeros(len(configs), dtype=torch.int64)
        self.diverged: dict[int, str] = {}
        self.resume_from: tuple[Mapping[str, Tensor], int] | None = None
        self.values: Values = {}
        self.callbacks: Sequence[StackCallback] = ()
        self.at_end: Callable[[], None] = lambda: None
        self.completed_epochs = self.completed_steps = 0
        self._train_losses = Mean()
        self.step_loop: StepLoop | None = None
        self._step_callbacks: Sequence[StackCallback] = ()
        self._val_batches: Iterable[Batch] = ()
        self.blocks = blocks
        self.automatic_optimization = blocks is None
        self.is_interrupted = False
        self._next_stop = 0

    def __setattr__(self, name: str, value: Any) -> None:
        """Bypasses torch's slow search for parameters for what is set at each step or hook."""
        if name in ("_current_fx_name", "completed_steps", "is_interrupted", "_next_stop"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def spans_epochs(self) -> bool:
        """Whether the Trainer sees all epochs as one, and `training_step` validates."""
        return self.blocks is not None and self.blocks.span_epochs

    def batches(self, steps: int) -> int:
        """The number of batches that the Trainer sees of so many steps of an epoch."""
        return math.ceil(steps / (self.blocks.steps if self.blocks else 1))

    @property
    def target_transform(self) -> TargetTransform:
        """The last layer of the network."""
        return self.network.preprocessing.target_transform

    def configure_optimizers(self) -> MemberOptimizer:
        """One optimizer for all members."""
        parts = self.blocks.parts if self.blocks else [slice(None)]
        optimizer = MemberOptimizer(self.network, [run.optimizer for run in self.configs], parts)
        if self.resume_from:
            optimizer.load_member_state(*self.resume_from)
        return optimizer

    @property
    def optimizer(self) -> MemberOptimizer:
        """The optimizer that the Trainer steps."""
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    @property
    def monitored(self) -> Float[Tensor, " member"]:
        """The monitored metric of the last epoch, negated if its highest value is the best."""
        return sign_of(self.monitor) * self.values[self.monitor]

    @property
    def train_losses(self) -> Mean:
        """The losses of the epoch's steps so far."""
        if self.step_loop is not None:
            self.step_loop.take_losses(self._train_losses)
        return self._train_losses

    def last_losses(self) -> Float[Tensor, " member"]:
        """Training losses of the last step, in the target's own units."""
        return self._in_target_units(self.train_losses.values[-1][:, -1]).cpu()

    def active_runs(self) -> Bool[Tensor, " run"]:
        """Which runs have an active member."""
        return self.active.view(-1, self.ensemble).any(1)

    def by_run(
        self, values: Float[Tensor, "*value member"], members: Bool[Tensor, " member"] | None = None
    ) -> Float[Tensor, "*value run"]:
        """The mean of each run's members, by default of active ones (a single network's own value).

        NaN if it has none of these members.
        """
        if self.ensemble == 1 and members is None:
            return values
        counted = self.active if members is None else members
        counted, by_run = (each.view(*each.shape[:-1], -1, self.ensemble) for each in (counted, values))
        return torch.where(counted, by_run, 0).sum(-1) / counted.sum(-1)

    def on_train_start(self) -> None:
        """Calls `on_start` of the callbacks."""
        for callback in self.callbacks:
            callback.on_start(self.stack)
        self._step_callbacks = [callback for callback in self.callbacks if callback.acts_on_steps]
        if self.blocks:
            losses, max_norm = [run.loss for run in self.configs], self.configs[0].trainer.gradient_clip_val
            self.step_loop = StepLoop(self.network, losses, self.optimizer, max_norm, self.blocks.parts)
            self._val_batches = self.trainer.datamodule.val_dataloader().cached()  # type: ignore[attr-defined]
        self.begin_epoch()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Calls `on_step` of the callbacks; ends an epoch that is interrupted, without validation."""
        if not self.blocks:
            self._on_step(1)
        if self.is_interrupted:
            raise StopIteration

    def _on_step(self, made: int) -> None:
        if self.completed_steps % CHECK_EVERY_STEPS < made:
            self._stop_where_losses_diverged()
            self.trainer.should_stop |= not self.active.any()
        for callback in self._step_callbacks:
            callback.on_step(self.stack)

    def on_train_end(self) -> None:
        """Calls `at_end`."""
        self.at_end()

    def begin_epoch(self) -> None:
        """Sets the learning rates of the epoch's steps, before callbacks of the user may look for them."""
        factors, steps, epoch = None, self.steps, self.completed_epochs
        if not (self.values and self._schedules_are_constant):  # so they may have changed
            done = epoch * steps + torch.arange(steps, dtype=torch.float64)
            schedules = [run.scheduler for run in self.configs]
            factors = step_factors(schedules, done / (self.max_epochs * steps), epoch)
        self.optimizer.set_factors(factors, self.completed_steps)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Returns the sum of the members' losses; of a block, makes all steps and returns None."""
        if self.step_loop is not None:
            self._train_block(batch, self.step_loop)
            return None
        set_dropout_rates(self.dropouts.values(), self.optimizer.values())
        z, targets = self.network.forward_heads(batch.x), batch.repeated(self.network.heads)
        losses = batch_losses(self.loss, z, targets, self.target_transform)
        self.train_losses.add(losses.detach()[:, None], batch.rows()[:, None])
        self.completed_steps += 1
        return losses.sum()

    @torch.no_grad()
    def _train_block(self, block: Batch, step_loop: StepLoop) -> None:
        """Makes the steps of a block, until training is to stop."""
        step_loop.load(block)
        left = block.x.shape[1]
        while left and not self.is_interrupted and not self.trainer.should_stop:
            made = step_loop.advance(min(left, self.steps - self.completed_steps, self._until_stop()))
            left -= made
            self.completed_steps += made
            count_steps(self.trainer, made)
            self._on_step(made)
            is_epoch_over = self.completed_steps == self.steps or self.trainer.should_stop
            if self.spans_epochs and is_epoch_over and not self.is_interrupted:
                self._validate(step_loop)
        step_loop.take_losses(self._train_losses)

    def _until_stop(self) -> int:
        """The number of steps until a callback has to see the network."""
        done = self.completed_epochs * self.steps + self.completed_steps
        if done >= self._next_stop:
            stops = [callback.next_stop(done) for callback in self._step_callbacks]
            self._next_stop = min(stops, default=sys.maxsize)
        return self._next_stop - done

    def _validate(self, step_loop: StepLoop) -> None:
        """Validates without the Trainer's loop, which takes several times as long as a small epoch."""
        self.on_validation_start()
        with step_loop.evaluating(), torch.inference_mode():
            for number, batch in enumerate(self._val_batches):
                self.validation_step(self.trainer.strategy.batch_to_device(batch), number)
        self.on_validation_epoch_end()
        self.on_validation_end()

    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]  # Lightning inspects it at each step

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of each member's gradient to `gradient_clip_val` (Pascanu et al. 2013)."""
        if gradient_clip_val is not None:
            parameters = optimizer.param_groups[0]["params"]
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            clip_by_member(gradients, gradient_clip_val)

    def on_validation_start(self) -> None:
        """Validates the average of the weights, if there is one."""
        self.optimizer.show_average(shown=True)

    def on_validation_end(self) -> None:
        """Calls `on_epoch` of the callbacks, which see the average; trains on with the last weights."""
        for callback in self.callbacks:
            callback.on_epoch(self.stack)
        self.optimizer.show_average(shown=False)
        self.begin_epoch()

    def on_validation_model_zero_grad(self) -> None:
        """Keeps the gradients: dropping these views of the optimizer's rows would free nothing."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the validation metrics."""
        self.val.add(self.network.forward_scaled(batch.x), batch, self.target_transform)

    def on_validation_epoch_end(self) -> None:
        """Computes the epoch's values."""
        mean = self.train_losses.compute()
        if not mean.isfinite().all():
            self._stop_where_losses_diverged()
        self._train_losses = Mean()
        validated = self.val.compute_and_reset(self.target_transform)
        values = {"train/loss": self._in_target_units(mean)}
        values |= {f"val/{name}": value for name, value in validated.items()}
        of_epoch = torch.stack([*values.values()]).cpu()
        self.values |= {"train/lr": self.optimizer.lr, **dict(zip(values, of_epoch.unbind(), strict=True))}
        for member, loss in enumerate(self.values["val/loss"].tolist()):
            if not math.isfinite(loss):
                reason = f"the validation loss became {loss} after step {self.global_step}"
                self._stop_diverged(member, reason)
        self.epochs += self.active
        self.completed_epochs, self.completed_steps = self.completed_epochs + 1, 0
        if self.trainer.callbacks:  # type: ignore[attr-defined]  # `self.log` would take as long as the epoch itself
            means = {name: value.nanmean() for name, value in self.values.items()}
            self.trainer.callback_metrics.update(means)

    def _in_target_units(self, losses: Float[Tensor, " member"]) -> Float64[Tensor, " member"]:
        return self.loss.in_target_units(losses, self.target_transform)

    def _stop_where_losses_diverged(self) -> None:
        losses = torch.cat(self.train_losses.values, 1)
        is_bad = ~losses.isfinite()
        for member in is_bad.any(1).nonzero().flatten().tolist():
            step = int(is_bad[member].int().argmax())
            loss, number = losses[member, step].item(), self.completed_epochs * self.steps + step + 1
            self._stop_diverged(member, f"the loss became {loss} at step {number}")

    def _stop_diverged(self, member: int, reason: str) -> None:
        if self.active[member]:
            self.active[member] = False
            remedy = "try a lower optimizer.lr, or trainer.gradient_clip_val=1"
            self.diverged[member] = f"{reason}, in epoch {self.completed_epochs + 1}; {remedy}"
