"""The LightningModule: K multilayer perceptrons that train in lockstep, each as if it were alone."""

from collections.abc import Sequence

from jaxtyping import Float, Float64
from torch import Tensor

from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.batches.loader import Batch
from mlplab.models import Dropout, Network
from mlplab.training.members import CHECK_EVERY_STEPS, Members, Progress
from mlplab.training.optimization.optimizers import MemberOptimizer, clip_by_member
from mlplab.training.optimization.schedules import epoch_factors
from mlplab.training.private_interfaces import FastAttributes, with_signature
from mlplab.training.resumable_module import ResumableModule
from mlplab.training.run import Configs
from mlplab.training.scoring.losses import batch_losses
from mlplab.training.scoring.scores import Evaluation, Mean, Values, on_cpu
from mlplab.training.step_loop import set_dropout_rates


class MLPModule(FastAttributes, ResumableModule):
    """Trains a network of K members of one shape on the batches of `data`; those of an ensemble are adjacent.

    The loss is the sum of the members' losses, so no member contributes to the gradients of another. The
    optimizer steps each with its own settings, and averages the weights: the average is validated, and stays
    after training. What is logged, such as `val/rmse`, are means over the members whose value is not NaN.

    Attributes:
        values: of the last epoch, one per member, on the CPU: `train/loss`, `train/lr`, `val/loss`, and the
            task's metrics such as `val/rmse`. Errors of numbers are in the targets' own units.
    """

    parts: Sequence[slice] = (slice(None),)  # of the members, updated one after another

    def __init__(self, network: Network, configs: Configs, data: TableDataModule) -> None:
        super().__init__()
        self.network, self.configs, self.schema = network, list(configs), data.table.schema
        self.val, self.test = (Evaluation.of(configs, rows, self.schema) for rows in (data.val, data.test))
        self.dropouts = {name: each for name, each in network.named_modules() if isinstance(each, Dropout)}
        self.progress = Progress(data.steps, configs[0].trainer.max_epochs)
        self.members = Members(len(configs), configs[0].ensemble)
        self.train_losses, self.values = Mean(), Values()

    def forward(self, x: Float[Tensor, "member row feature"]) -> Float64[Tensor, "member row output"]:
        """Predictions in the targets' units, or probabilities of classes; `x` as in `TableDataModule.x`."""
        return self.network(x)

    def configure_optimizers(self) -> MemberOptimizer:
        """One optimizer for all members."""
        settings = [run.optimizer for run in self.configs]
        self.optimizer = MemberOptimizer(self.network, settings, self.parts)
        if self.resume_from:
            self.optimizer.load_member_state(*self.resume_from)
        return self.optimizer

    def on_train_start(self) -> None:
        """Sets the learning rates of the steps of the first epoch."""
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Sets the learning rates of the steps of the next epoch."""
        factors = epoch_factors([run.scheduler for run in self.configs], self.progress, anew=not self.values)
        self.optimizer.set_factors(factors, self.progress.step)

    @with_signature
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:  # None only of blocks
        """Returns the sum of the members' losses; in blocks, `block_module.py` makes the steps instead."""
        set_dropout_rates(self.dropouts.values(), self.optimizer.step_values())
        z, targets = self.network.forward_heads(batch.x), batch.repeated(self.network.heads)
        losses = batch_losses(self.val.loss, z, targets, self.network.preprocessing.target_transform)
        self.train_losses.add(losses.detach()[:, None], batch.row_counts()[:, None])
        self.progress.step += 1
        return losses.sum()

    def configure_gradient_clipping(
        self, optimizer: object, gradient_clip_val: float | None = None, *_: object, **__: object
    ) -> None:
        """Clips the norm of each member's gradient to `gradient_clip_val` (Pascanu et al. 2013)."""
        if gradient_clip_val is not None:
            gradients = [each.grad for each in self.optimizer.parameters if each.grad is not None]
            clip_by_member(gradients, gradient_clip_val)

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Stops training if all members have diverged."""
        self.stop_if_diverged(1)

    def stop_if_diverged(self, made: int) -> None:
        """Stops training if all members have diverged by the steps made; checks the losses at times."""
        if self.progress.step % CHECK_EVERY_STEPS < made:
            self.members.check_losses(self.losses_so_far(), self.progress)
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
        found = self.val.compute_and_reset(self.network.preprocessing.target_transform, "val/")
        if not self.is_epoch:
            return self.log_means(on_cpu(found))
        losses, self.train_losses = self.losses_so_far(), Mean()
        if not (mean := losses.compute()).isfinite().all():
            self.members.check_losses(losses, self.progress)
        loss = self.val.loss.in_target_units(mean, self.network.preprocessing.target_transform)
        of_epoch = {"train/lr": self.optimizer.lr, **on_cpu({"train/loss": loss, **found})}
        self.values |= of_epoch
        self.members.end_epoch(self.values["val/loss"], self.progress, self.global_step)
        self.trainer.should_stop |= not self.members.active.any()
        return self.log_means(of_epoch)

    @property
    def is_epoch(self) -> bool:
        """Whether this validation ends an epoch of training."""
        return self.trainer.state.fn == "fit" and not self.trainer.sanity_checking

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
        self.log_means(self.test.compute_and_reset(self.network.preprocessing.target_transform, "test/"))

    def predict_step(self, batch: Batch) -> Float64[Tensor, "member row output"]:
        """The predictions of a batch, as `forward`."""
        return self(batch.x)
