"""Warnings at the end of a run."""

import logging
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support import train_into

CHURN = (
    *("data=csv", "data.path=churn.csv", "data.target=churn", "model.hidden=[32,32]", "model.dropout=0"),
    *("trainer.max_epochs=40", "optimizer.weight_decay=0", "optimizer.lr=0.02", "baselines=[]"),
)


@pytest.fixture(autouse=True)
def _logged(full_speed: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mlplab")


@pytest.fixture
def churn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that says little about a rare class."""
    monkeypatch.chdir(tmp_path)
    source, rows = np.random.default_rng(0), 600
    months, plan = source.integers(1, 72, rows), source.choice(["a", "b"], rows)
    left = source.uniform(size=rows) < 0.25 - 0.002 * months
    columns = {f"x{number}": source.normal(size=rows) for number in range(6)}
    answer = np.where(left, "yes", "no")
    pl.DataFrame({"months": months, "plan": plan, **columns, "churn": answer}).write_csv("churn.csv")


def warnings_of(folder: str, *overrides: str) -> list[str]:
    """The warnings in the log of a run."""
    train_into(Path(folder), [*CHURN, *overrides])
    lines = Path(folder, "0/train.log").read_text().splitlines()
    return [line.split("  warning: ")[1] for line in lines if "  warning: " in line]


@pytest.mark.usefixtures("churn")
def test_a_class_that_is_never_predicted_is_pointed_out_with_a_remedy_that_works() -> None:
    [warning] = warnings_of("run")
    expected = r"never predicted: 'yes' \((\d+) of the 90 test rows, ([\d.]+)% of the training rows\)"
    found = re.match(expected, warning)
    assert found
    counts = pl.read_csv("churn.csv")["churn"].value_counts(normalize=True)
    share = counts.filter(pl.col("churn") == "yes")["proportion"].item()
    assert int(found[1]) / 90 == pytest.approx(share, abs=0.01)
    assert float(found[2]) / 100 == pytest.approx(share, abs=0.01)
    [remedy] = re.findall(r"data\.class_weights=\w+", warning)
    assert not any("never predicted" in each for each in warnings_of("balanced", remedy))
