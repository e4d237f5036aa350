"""Checkpoints and the ones before them."""

from pathlib import Path

import torch

from mlplab.runs import checkpoint


def newest_epoch(path: Path) -> int:
    content = checkpoint.load_newest(path)
    assert content is not None
    return int(content["epoch"])


def test_the_checkpoint_before_a_damaged_one_is_used(tmp_path: Path) -> None:
    last = tmp_path / "last.ckpt"
    for epoch in (1, 2):
        checkpoint.save(last, {"epoch": epoch, "state": {"w": torch.full((200,), epoch)}})
        assert newest_epoch(last) == epoch
    last.write_bytes(last.read_bytes()[:500])
    assert newest_epoch(last) == 1
    checkpoint.save(last, {"epoch": 3})
    assert newest_epoch(last) == 3
    last.unlink()  # as if a process had been killed between the two renames
    assert newest_epoch(last) == 1  # and not the damaged one
