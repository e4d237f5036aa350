"""A little of each fault; `uv run tests/faults/campaign.py` tries them again and again."""

import random
from pathlib import Path

import pytest
from faults import campaign

TRIES = {
    "kills": 3,
    "stack_kills": 1,
    "sweep_kills": 1,
    "write_kills": 2,
    "full_disks": 1,
    "damages": 28,
    "troubles": 3,
    "starts": 8,
}


@pytest.mark.parametrize("fault", TRIES)
def test_it_is_survived(tmp_path: Path, fault: str) -> None:
    if fault == "full_disks" and not campaign.can_mount():
        pytest.skip("needs the right to mount a small file system")
    trial, _ = campaign.TRIED[fault]
    assert trial(TRIES[fault], tmp_path, random.Random(1)) == []
