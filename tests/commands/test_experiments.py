"""The shipped experiments, with fewer epochs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Ended

from mlplab.training import checkpoint


@pytest.mark.parametrize(
    ("experiment", "epochs", "kinds"),
    [
        ("forecast", 4, {"time": "date", "temperature": "numeric"}),
        ("recommend", 20, {"user": "categorical", "item": "categorical"}),
    ],
)
def test_the_network_earns_its_keep(
    command: Callable[..., Ended], tmp_path: Path, experiment: str, epochs: int, kinds: dict[str, str]
) -> None:
    ended = command(f"experiment={experiment}", f"trainer.max_epochs={epochs}", "logger=[]", "name=r")
    assert ended.status == 0, ended.err
    metrics = json.loads((tmp_path / "outputs/r/metrics.json").read_text())
    assert metrics["status"] == "done"
    assert metrics["test/rmse"] < 0.8 * min(metrics["ridge/test/rmse"], metrics["mean/test/rmse"])
    schema = checkpoint.load(tmp_path / "outputs/r/checkpoints/best.ckpt")["schema"]
    assert kinds.items() <= {column["name"]: column["kind"] for column in schema["inputs"]}.items()
