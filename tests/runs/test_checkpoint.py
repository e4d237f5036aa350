from pathlib import Path

import torch

from mlplab.runs import checkpoint


def test_the_checkpoint_before_a_damaged_one_is_used(tmp_path: Path) -> None:
    last = tmp_path / "last.ckpt"
    for epoch in (1, 2):
        checkpoint.save(last, {"epoch": epoch, "state": {"w": torch.full((200,), epoch)}})
        assert checkpoint.load_newest(last)["epoch"] == epoch
    last.write_bytes(last.read_bytes()[:500])
    assert checkpoint.load_newest(last)["epoch"] == 1
    checkpoint.save(last, {"epoch": 3})
    assert checkpoint.load_newest(last)["epoch"] == 3
    last.unlink()  # as if a process had been killed between the two renames
    assert checkpoint.load_newest(last)["epoch"] == 1  # and not the damaged one
