"""What is used of Lightning beyond its documented interface."""

import inspect
from importlib.metadata import version

from lightning.pytorch import Trainer


def test_these_parts_of_lightning_are_private_or_undocumented() -> None:
    """Another version may name them otherwise: see `mlplab.training.trainer`, then change this number."""
    assert version("lightning").startswith("2.6.")
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_model_summary=False, accelerator="cpu")
    assert trainer._signal_connector.received_sigterm is False
    loop = trainer.fit_loop
    assert {"ready", "started", "processed", "completed"} <= vars(loop.epoch_progress.total).keys()
    assert {"ready", "completed"} <= vars(loop.epoch_loop.batch_progress.current).keys()
    step = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
    assert {"ready", "completed"} <= vars(step).keys()
    assert "restarting" in inspect.getsource(type(loop.epoch_loop).reset)
