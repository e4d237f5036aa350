"""The fake cluster is enough for submitit."""

import os
import time
from pathlib import Path

import pytest
import submitit
from slurm.fake_slurm import FakeSlurm

pytestmark = pytest.mark.slow  # tests/commands and tests/faults use the cluster


def test_submitit_continues_a_job_that_ran_out_of_time(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    class Count:
        """Counts to a number, in pieces if it must."""

        def __init__(self) -> None:
            self.counted: list[str] = []

        def __call__(self, until: int) -> list[str]:
            for number in range(len(self.counted), until):
                self.counted.append(f"{number} after {os.environ.get('SLURM_RESTART_COUNT', 0)}")
                while number == 1 and not Path("go").exists():
                    Path("here").touch()
                    time.sleep(0.01)
            return self.counted

        def checkpoint(self, until: int) -> object:
            Path("go").touch()
            return submitit.helpers.DelayedSubmission(self, until)

    executor = submitit.SlurmExecutor(tmp_path / "logs")
    executor.update_parameters(time=60, signal_delay_s=600, partition="gpu", array_parallelism=2, mem="1GB")
    jobs = executor.map_array(Count(), [3, 1])
    slurm.until(Path("here").exists, "nothing runs")
    slurm.time_out(jobs[0].job_id)
    assert jobs[0].result() == ["0 after 0", "1 after 0", "2 after 1"]
    assert jobs[1].result() == ["0 after 0"]
    record = slurm.wait_for(jobs[0].job_id, "COMPLETED")
    assert [run.state for run in record.runs] == ["REQUEUED", "COMPLETED"]
    assert record.options["wckey"] == "submitit"
