"""The LightningModule: K networks trained in the same steps, each as if it were alone."""

from collections.abc import Sequence
from typing import NoReturn

import torch
from jaxtyping import Bool, Float, Float64, Int64
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from mlplab import config
from mlplab.data.loader import Batch
from mlplab.errors import RunFailed
from mlplab.nets import Network
from mlplab.training.evaluation import Evaluation, Mean, Values
from mlplab.training.losses import build_loss
from mlplab.training.optimizers import MemberOptimizer, build_optimizer
from mlplab.training.schedules import build_schedule

CHECK_EVERY = 1000
"""Steps after which losses are looked at even though the epoch goes on."""


class Diverged(RunFailed):
    """A loss that is no longer finite."""


class StackModule(LightningModule):
    """Trains a network of K members whose configurations share a shape.

    The Trainer does forward, backward and optimize: `training_step` gives the sum of the members' losses, so
    that no member's gradient holds another's, and the optimizer steps each with its own settings.

    Args:
        network: K members.
        configs: one for each member.
        steps: optimizer steps of the whole training.

    Attributes:
        values: of the last epoch, one a member: `train/loss`, `val/loss`, `val/rmse`, `val/mae`, `val/r2`
            and `lr`; after a test also `test/…`. Losses and errors are in the target's own units.
        active: the members that have not stopped early; what is recorded of a run ends where it stopped.
        epochs: how many each member has trained, to its stop.
    """

    def __init__(self, network: Network, configs: Sequence[config.TrainConfig], steps: int) -> None:
        super().__init__()
        self.network, self.configs, self.steps = network, configs, steps
        self.loss = build_loss([each.loss for each in configs])
        self.schedule = build_schedule([each.scheduler for each in configs])
        self.monitor = configs[0].monitor
        self.val, self.test = (Evaluation(self.loss, len(configs), part) for part in ("val", "test"))
        self.active: Bool[Tensor, " member"] = torch.ones(len(configs), dtype=torch.bool)
        self.epochs: Int64[Tensor, " member"] = torch.zeros(len(configs), dtype=torch.int64)
        self.values: Values = {}
        self._train = Mean()
        self._first_step = 0

    def forward(self, x: Float[Tensor, "member batch feature"]) -> Float64[Tensor, "member batch target"]:
        """Predictions in the target's units."""
        return self.network(x)

    def configure_optimizers(self) -> MemberOptimizer:
        """One optimizer over all members."""
        return build_optimizer(self.network.parameters(), [each.optimizer for each in self.configs])

    def losses(self, batch: Batch) -> Float[Tensor, " member"]:
        """Each member's loss on its rows, in encoded units: the quantity that is minimised."""
        return self.loss(self.network.encoded(batch.x), self.network.encoder.encode_target(batch.y))

    def last_losses(self) -> Float[Tensor, " member"]:
        """The training losses of the last step, in the target's own units."""
        return self._in_target_units(self._train.values[-1])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Gives the step its learning rates."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, MemberOptimizer)
        optimizer.scale_lr(self.schedule(self.global_step / self.steps, self.current_epoch))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The forward pass; the sum over members is what backward starts from."""
        losses = self.losses(batch)
        if not self._train.values:
            self._first_step = self.global_step
        self._train.add(losses.detach(), batch.x.shape[1])
        if len(self._train.values) % CHECK_EVERY == 0:
            self._refuse_divergence()
        return losses.sum()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Scales each member's gradient to a norm of at most `gradient_clip_val` (Pascanu et al. 2013)."""
        if gradient_clip_val is not None:
            clip_by_member(optimizer.param_groups[0]["params"], gradient_clip_val)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the validation metrics."""
        self.val.add(self.network, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the test metrics."""
        self.test.add(self.network, batch)

    def on_validation_epoch_end(self) -> None:
        """The epoch's values; a schedule that follows the monitored metric learns it here."""
        if self._train.values:
            self._refuse_divergence()
            optimizer = self.optimizers(use_pl_optimizer=False)
            assert isinstance(optimizer, MemberOptimizer)
            self.epochs += self.active
            self.values = {
                "train/loss": self._in_target_units(self._train.take()),
                "lr": optimizer.param_groups[0]["lr"].flatten(),
            }
        self.values |= self.val.take(self.network)
        if not self.values["val/loss"].isfinite().all():
            self._diverged(
                self.values["val/loss"], f"the validation loss became {{}} after step {self.global_step}"
            )
        self.schedule.observe(self.values[self.monitor])
        # For callbacks of the user's, which look here; `self.log` would cost as much as the epoch.
        self.trainer.callback_metrics.update({name: value.mean() for name, value in self.values.items()})

    def on_test_epoch_end(self) -> None:
        """The test metrics."""
        self.values |= self.test.take(self.network)

    def _in_target_units(self, losses: Float[Tensor, " member"]) -> Float[Tensor, " member"]:
        return self.loss.in_target_units(losses, self.network.encoder.y_std)

    def _refuse_divergence(self) -> None:
        finite = torch.stack(self._train.values).isfinite().all(1)
        if not finite.all():
            first = int(finite.int().argmin())
            losses = self._train.values[first]
            self._diverged(losses, f"the loss became {{}} at step {self._first_step + first + 1}")

    def _diverged(self, losses: Float[Tensor, " member"], what: str) -> NoReturn:
        value = losses[~losses.isfinite()][0].item()
        raise Diverged(
            f"{what.format(value)}, in epoch {self.current_epoch + 1}; "
            "try a lower optimizer.lr, or trainer.gradient_clip_val=1"
        )


def clip_by_member(parameters: Sequence[nn.Parameter], max_norm: float) -> None:
    """Scales, in place, each member's gradient over all parameters to a norm of at most `max_norm`."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.stack([gradient.square().sum((1, 2)) for gradient in gradients]).sum(0).sqrt()
    scale = (max_norm / norm.clamp(min=torch.finfo(norm.dtype).tiny)).clamp(max=1).reshape(-1, 1, 1)
    for gradient in gradients:
        gradient.mul_(scale)
