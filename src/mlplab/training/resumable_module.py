"""How training begins with a Trainer of the user's, and what it is resumed from."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule

from mlplab.errors import Fault, UserError
from mlplab.models import Dropout
from mlplab.training.callbacks.stack_callback import Tensors
from mlplab.training.members import Members, Progress
from mlplab.training.optimization.optimizers import MemberOptimizer
from mlplab.training.scoring.scores import Mean, Values

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


class ResumableModule(LightningModule):
    """Begins training, or resumes it from a checkpoint of Lightning's.

    Attributes:
        resume_from: state of the optimizer and number of its steps to resume from; None to start anew.
    """

    optimizer: MemberOptimizer
    progress: Progress
    members: Members
    dropouts: Mapping[str, Dropout]
    train_losses: Mean
    values: Values
    resume_from: tuple[Tensors, int] | None = None

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
