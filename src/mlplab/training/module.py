"""The LightningModule: K multilayer perceptrons that train in lockstep, each as if it were alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from mlplab import config
from mlplab.data.batches.loader import Batch
from mlplab.data.schema import Schema
from mlplab.models import Dropout, Network
from mlplab.training.members import Members
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.optimization.schedules import Schedules
from mlplab.training.optimization.updates import clip_by_member
from mlplab.training.private_interfaces import FastAttributes, with_signature
from mlplab.training.progress import Progress
from mlplab.training.scoring.evaluation import Evaluation, Mean, Values
from mlplab.training.scoring.losses import batch_losses
from mlplab.training.step_loop import set_dropout_rates

CHECK_EVERY_STEPS = 1000
"""Steps of an epoch after which losses are checked for divergence: a table may be large."""

Predictions = Float64[Tensor, "member row output"]


class MLPModule(FastAttributes, LightningModule):
    """Trains a network of K members whose configurations share a shape.

    The loss is the sum of the members' losses, so no member contributes to the gradients of another. The
    optimizer steps each with its own settings. It averages the weights: the average is validated, and remains
    after training. Means over the members are logged, such as `val/rmse`.

    Args:
        configs: one for each member. The members of an ensemble follow each other.
        steps: number of steps per epoch.
        val, test: number of validation and test rows of each member.

    Attributes:
        values: of the last epoch, one per member, on the CPU: `train/loss`, `train/lr`, `val/loss`, and the
            task's metrics such as `val/rmse`. Errors of numbers are in the targets' own units.
        resume_from: state of the optimizer and number of its steps to resume from; None to start anew.
    """

    parts: Sequence[slice] = (slice(None),)  # of the members, updated one after another

    def __init__(
        self,
        network: Network,
        configs: Sequence[config.ResolvedConfig],
        schema: Schema,
        steps: int,
        val: Sequence[int],
        test: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.network, self.configs, self.schema = network, list(configs), schema
        self.val, self.test = (Evaluation.of(configs, rows, schema) for rows in (val, test))
        self.dropouts = {name: each for name, each in network.named_modules() if isinstance(each, Dropout)}
        self.schedules = Schedules([run.scheduler for run in configs])
        self.progress = Progress(steps, configs[0].trainer.max_epochs)
        self.members = Members(len(configs), configs[0].ensemble)
        self.train_losses, self.values = Mean(), Values()
        self.resume_from: tuple[Mapping[str, Tensor], int] | None = None

    def forward(self, x: Float[Tensor, "member row feature"]) -> Predictions:
        """Predictions in the targets' units, or the probability of each class."""
        return self.network(x)

    def configure_optimizers(self) -> MemberOptimizer:
        """One optimizer for all members."""
        optimizer = MemberOptimizer(self.network, [run.optimizer for run in self.configs], self.parts)
        if self.resume_from:
            optimizer.load_member_state(*self.resume_from)
        return optimizer

    @property
    def optimizer(self) -> MemberOptimizer:
        """The optimizer that the Trainer steps."""
        return self.optimizers(use_pl_optimizer=False)  # type: ignore[return-value]

    def on_train_start(self) -> None:
        """Begins the first epoch."""
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Sets the learning rates of the epoch's steps, before callbacks of the user may look for them."""
        factors = self.schedules.factors(self.progress, is_first=not self.values)
        self.optimizer.set_factors(factors, self.progress.step)

    @with_signature
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Returns the sum of the members' losses."""
        set_dropout_rates(self.dropouts.values(), self.optimizer.step_values())
        z, targets = self.network.forward_heads(batch.x), batch.repeated(self.network.heads)
        losses = batch_losses(self.val.loss, z, targets, self.network.preprocessing.target_transform)
        self.train_losses.add(losses.detach()[:, None], batch.rows()[:, None])
        self.progress.step += 1
        return losses.sum()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, *_: Any, **__: Any
    ) -> None:
        """Clips the norm of each member's gradient to `gradient_clip_val` (Pascanu et al. 2013)."""
        if gradient_clip_val is not None:
            gradients = [each.grad for each in optimizer.param_groups[0]["params"] if each.grad is not None]
            clip_by_member(gradients, gradient_clip_val)

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Stops training if all members have diverged."""
        self.stop_if_diverged(1)

    def stop_if_diverged(self, made: int) -> None:
        """The same, after a number of steps; the losses are checked at times."""
        if self.progress.step % CHECK_EVERY_STEPS < made:
            self.members.check_losses(self.train_losses, self.progress)
            self.trainer.should_stop |= not self.members.active.any()

    def on_validation_start(self) -> None:
        """Validates the average of the weights, if there is one."""
        if self.is_epoch:
            self.optimizer.show_average(shown=True)

    def on_validation_model_zero_grad(self) -> None:
        """Keeps the gradients: dropping these views of the optimizer's rows would free nothing."""

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the validation metrics."""
        self.val.add_batch(self.network, batch)

    def on_validation_epoch_end(self) -> None:
        """Computes the values of validation, and of the epoch that it ends; logs their means."""
        transform, losses = self.network.preprocessing.target_transform, self.train_losses
        found = {f"val/{name}": value for name, value in self.val.compute_and_reset(transform).items()}
        if self.is_epoch:
            mean, self.train_losses = losses.compute(), Mean()
            if not mean.isfinite().all():
                self.members.check_losses(losses, self.progress)
            found = {"train/loss": self.val.loss.in_target_units(mean, transform)} | found
        of_epoch = dict(zip(found, torch.stack([*found.values()]).cpu().unbind(), strict=True))
        if self.is_epoch:
            of_epoch = {"train/lr": self.optimizer.lr} | of_epoch
            self.values |= of_epoch
            self.members.end_epoch(self.values["val/loss"], self.progress, self.global_step)
        self.log_means(of_epoch)

    @property
    def is_epoch(self) -> bool:
        """Whether this validation ends an epoch of training."""
        return self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking

    def log_means(self, values: Values) -> None:
        """Logs the means of values over the members."""
        self.log_dict({name: value.nanmean() for name, value in values.items()}, prog_bar=True)

    def on_validation_end(self) -> None:
        """Trains on with the weights of the last step."""
        if self.is_epoch:
            self.optimizer.show_average(shown=False)
            self.begin_epoch()

    def on_train_end(self) -> None:
        """Leaves the average of the weights."""
        self.optimizer.show_average(shown=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the test metrics."""
        self.test.add_batch(self.network, batch)

    def on_test_epoch_end(self) -> None:
        """Logs the test metrics."""
        found = self.test.compute_and_reset(self.network.preprocessing.target_transform)
        self.log_means({f"test/{name}": value for name, value in found.items()})

    def predict_step(self, batch: Batch) -> Predictions:
        """The predictions of a batch, as `forward`."""
        return self(batch.x)
