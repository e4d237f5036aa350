"""The LightningModule: K multilayer perceptrons that train in lockstep, each as if it were alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from lightning.pytorch import LightningModule
from torch import Tensor

from mlplab.config.metrics import DEFAULT_THRESHOLD
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.batches.loader import Batch
from mlplab.errors import Fault, UserError
from mlplab.models import Dropout, Network
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.members import CHECK_EVERY_STEPS, Members, Progress
from mlplab.training.optimization.optimizers import MemberOptimizer, clip_by_member
from mlplab.training.optimization.schedules import step_factors
from mlplab.training.private_interfaces import FastAttributes, with_signature
from mlplab.training.run import Configs
from mlplab.training.scoring.losses import batch_losses, build_loss
from mlplab.training.scoring.scores import Evaluation, Mean, Values, on_cpu
from mlplab.training.step_loop import set_dropout_rates

VALIDATES = "each epoch ends with its validation"

# By the attribute of a Trainer: the argument to give, the values that are possible, and why.
NEEDED = {
    "world_size": ("devices=1", (1,), "the networks train on one device"),
    "accumulate_grad_batches": ("accumulate_grad_batches=1", (1,), "each batch is an optimizer step"),
    "check_val_every_n_epoch": ("check_val_every_n_epoch=1", (1,), VALIDATES),
    "val_check_interval": ("val_check_interval=1.0", (1.0,), VALIDATES),
    "gradient_clip_algorithm": ('gradient_clip_algorithm="norm"', (None, "norm"), "the norm is clipped"),
}

RESUME = "mlplab"  # the key of a checkpoint below which is what training is resumed from


class MLPModule(FastAttributes, LightningModule):
    """Trains a network of K members of one shape on the batches of `data`; those of an ensemble are adjacent.

    The loss is the sum of the members' losses, so no member contributes to the gradients of another. The
    optimizer steps each with its own settings, and averages the weights: the average is validated, and stays
    after training. What is logged, such as `val/rmse`, are means over the members whose value is not NaN.

    Attributes:
        values: of the last epoch, one per member, on the CPU: `train/loss`, `train/lr`, `val/loss`, and the
            task's metrics such as `val/rmse`. Errors of numbers are in the targets' own units.
        resume_from: state of the optimizer and number of its steps to resume from; None to start anew.
    """

    parts: Sequence[slice] = (slice(None),)  # of the members, updated one after another
    resume_from: tuple[Tensors, int] | None = None

    def __init__(self, network: Network, configs: Configs, data: TableDataModule) -> None:
        super().__init__()
        self.network, self.configs, self.schema = network, list(configs), data.table.schema
        loss = build_loss([run.loss for run in configs])
        # One that is to be chosen after training is 0.5 until then.
        thresholds = [DEFAULT_THRESHOLD if run.threshold == "auto" else run.threshold for run in configs]
        self.val, self.test = (
            Evaluation(loss, rows, self.schema, thresholds) for rows in (data.val, data.test)
        )
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

    def on_fit_start(self) -> None:
        """Begins with the present weights, unless training is resumed; the Trainer has the number of epochs.

        Raises:
            UserError: if the Trainer is set to what the module does not do.
        """
        faults = []
        for attribute, (argument, possible, why) in NEEDED.items():
            found = getattr(self.trainer, attribute)
            # A check after every batch has the number 1, and one after all batches has 1.0.
            if found not in possible or isinstance(found, int) != isinstance(possible[0], int):
                what, where = f"is {found}, but {why}", f"{attribute} of the Trainer"
                faults.append(Fault(what, where, remedy=f"use Trainer({argument})"))
        if self.trainer.limit_val_batches == 0:
            what, where = f"is 0, but {VALIDATES}", "limit_val_batches of the Trainer"
            faults.append(Fault(what, where, remedy="leave it out"))
        if faults:
            raise UserError(*faults)
        if self.trainer.max_epochs and self.trainer.max_epochs > 0:
            self.progress.max_epochs = self.trainer.max_epochs
        if self.resume_from is None:
            self.progress.epoch = self.progress.step = 0
            self.members = Members(len(self.members.active), self.members.ensemble)
            self.train_losses, self.values = Mean(), Values()
        self.resume_from = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Saves the average of the weights, and what training is resumed from."""
        if self.trainer.state.fn == "fit":
            with self.optimizer.averaged():
                checkpoint["state_dict"] = {name: each.clone() for name, each in self.state_dict().items()}
                state = self.training_state()
            checkpoint[RESUME] = {
                "progress": self.progress.total,
                "steps": self.optimizer.steps,
                "diverged": self.members.diverged,
                "state": {
                    part: {name: each.cpu() for name, each in of.items()} for part, of in state.items()
                },
            }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Prepares to resume training."""
        if self.trainer.state.fn == "fit":
            if (saved := checkpoint.get(RESUME)) is None:
                remedy = "use one that was saved by Trainer.fit"
                raise UserError(Fault("has no training state", "the checkpoint", remedy=remedy))
            # After the last step of an epoch, Lightning goes on with the next one, and does not validate.
            epoch, step = divmod(saved["progress"], self.progress.steps)
            device = self.trainer.strategy.root_device
            self.restore(saved["state"], epoch, step, saved["steps"], device)
            self.train_losses = self.train_losses if step else Mean()
            self.members.diverged = saved["diverged"]

    def losses_so_far(self) -> Mean:
        """The losses of the epoch's steps."""
        return self.train_losses

    def training_state(self) -> dict[str, Tensors]:
        """What training is resumed from, besides the network's tensors within `averaged`.

        These are tensors with a leading member axis, by what they belong to. They may share memory with those
        in use.
        """
        device = self.trainer.strategy.root_device
        return {
            "members": {"epochs": self.members.epochs, "active": self.members.active},
            "optimizer": self.optimizer.member_state(),
            "dropout": {name: torch.stack(layer.states(device)) for name, layer in self.dropouts.items()},
            "losses": self.losses_so_far().state(),
        }

    def restore(
        self, state: Mapping[str, Tensors], epoch: int, step: int, steps: int, device: torch.device
    ) -> None:
        """Restores a `training_state`, before training on this device.

        Args:
            epoch, step, steps: the number of completed epochs, of steps of the next one, and of all steps.
        """
        self.progress.epoch, self.progress.step = epoch, step
        self.resume_from = state["optimizer"], steps
        for name, layer in self.dropouts.items():
            for source, saved in zip(layer.generators(device), state["dropout"][name], strict=True):
                source.set_state(saved.clone())  # can crash with a view into a larger tensor
        self.train_losses.load_state({name: each.to(device) for name, each in state["losses"].items()})
        self.members.epochs, self.members.active = (state["members"][name] for name in ("epochs", "active"))

    def on_train_start(self) -> None:
        """Sets the learning rates of the steps of the first epoch."""
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Sets the learning rates of the steps of the next epoch."""
        progress, schedules, factors = self.progress, [run.scheduler for run in self.configs], None
        is_constant = all(each.name == each.regularization == "constant" for each in schedules)
        if not (is_constant and self.values):  # else, they are those of the epoch before
            done = progress.epoch * progress.steps + torch.arange(progress.steps, dtype=torch.float64)
            factors = step_factors(schedules, done / (progress.max_epochs * progress.steps), progress.epoch)
        self.optimizer.set_factors(factors, progress.step)

    @with_signature
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:  # None only of blocks
        """Returns the sum of the members' losses."""
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
