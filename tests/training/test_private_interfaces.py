"""What is used of Lightning, torch and TensorBoard beyond their documented interfaces."""

import inspect
from importlib.metadata import version
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.summary.writer.record_writer import RecordWriter
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


def test_these_parts_of_torch_and_tensorboard_are_private(tmp_path: Path) -> None:
    """As of torch 2.10 to 2.15. If the kernels' arguments change: adapt `optimizers.py`."""
    assert callable(SummaryWriter._get_file_writer)
    writer = EventFileWriter(str(tmp_path))._async_writer
    assert isinstance(writer._writer, RecordWriter)
    writer.close()
    moments = "Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, Tensor[] state_steps, *, float lr"
    for kernel in (torch.ops.aten._fused_adam_, torch.ops.aten._fused_adamw_):
        assert moments in str(kernel.default._schema)
        assert moments.replace("float lr", "Tensor lr") in str(kernel.tensor_lr._schema)
    momentum = "Tensor(c!)[] momentum_buffer_list, *, float weight_decay, float momentum, float lr"
    assert momentum in str(torch.ops.aten._fused_sgd_.default._schema)
    assert momentum.replace("float lr", "Tensor lr") in str(torch.ops.aten._fused_sgd_.tensor_lr._schema)


def test_torch_does_not_wrap_the_step_of_an_optimizer_that_is_hooked() -> None:
    assert "hooked" in inspect.getsource(torch.optim.Optimizer._patch_step_function)
