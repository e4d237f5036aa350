"""What is used of Lightning, torch and TensorBoard beyond their documented interfaces."""

import inspect
from importlib.metadata import version

import torch
from lightning.pytorch import Trainer
from torch.utils.tensorboard import SummaryWriter


def test_these_parts_of_lightning_are_private_or_undocumented() -> None:
    """Another version may name them otherwise: see `private_interfaces.py`, then change this number."""
    assert version("lightning").startswith("2.6.")
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_model_summary=False, accelerator="cpu")
    assert trainer._signal_connector.received_sigterm is False
    loop = trainer.fit_loop
    assert {"ready", "started", "processed", "completed"} <= vars(loop.epoch_progress.total).keys()
    assert {"ready", "completed"} <= vars(loop.epoch_loop.batch_progress.current).keys()
    step = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    assert {"ready", "completed"} <= vars(step).keys()
    assert "restarting" in inspect.getsource(type(loop.epoch_loop).reset)


def test_these_parts_of_torch_are_private() -> None:
    """As of torch 2.10 to 2.15."""
    assert callable(SummaryWriter._get_file_writer)
    for kernel in (torch._fused_adam_, torch._fused_adamw_, torch._fused_sgd_):
        assert "grads" in str(kernel.__doc__) or callable(kernel)
