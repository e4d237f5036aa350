"""A little of each fault. Most of them start and kill processes for many seconds and are marked slow;
`uv run tests/faults/campaign.py` tries all of them again and again."""

import random
from pathlib import Path

import pytest
from faults import campaign, processes
from support import SMALL, status_of

MORE = {"sweep_kills": 2, "write_kills": 2, "damages": 14, "troubles": 3, "starts": 8}


@pytest.mark.slow
@pytest.mark.parametrize("fault", campaign.TRIED)
def test_it_is_survived(tmp_path: Path, fault: str) -> None:
    if fault == "full_disks" and not campaign.can_mount():
        pytest.skip("needs the right to mount a small file system")
    trial, _ = campaign.TRIED[fault]
    assert trial(MORE.get(fault, 1), tmp_path, random.Random(1)) == []


@pytest.mark.slow
@pytest.mark.skipif(not campaign.can_mount(), reason="needs the right to mount a small file system")
@pytest.mark.parametrize("resumes", [False, True], ids=["start", "resume"])
def test_a_disk_that_is_full_before_training_is_reported(tmp_path: Path, resumes: bool) -> None:
    with campaign.small_disk(tmp_path / "disk", kilobytes=2048) as here:
        folder = here / "outputs/r"
        words: tuple[str, ...] = ("train", *SMALL, "logger=[]", "figures=none", "name=r")
        if resumes:
            assert processes.run(words, here)[0] == 0
            (folder / "metrics.json").write_text('{"status": "interrupted"}')
            words = ("train", "resume=outputs/r")
        campaign.fill(here / "filler", leave=0)
        status, printed = processes.run(words, here)
        assert (status, campaign.NO_SPACE in printed, "Traceback" in printed) == (1, True, False), printed
        assert (status_of(folder) == "interrupted") if resumes else not folder.exists()
        (here / "filler").unlink()
        assert processes.run(words, here)[0] == 0
