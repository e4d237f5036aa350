"""Writes the example of this release: a table, a run, the same as one file, and what it predicts.

uv run tests/releases/make.py

Later releases must read it: see docs/releasing.md.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl

import mlplab
from mlplab.runs.versions import VERSION

ROWS = 200
SETTINGS = (
    *("data=csv", "data.path=table.csv", "data.target=price", "ensemble=2", "model.hidden=[8]", "logger=[]"),
    *("model.activation=[silu,relu]", "trainer.max_epochs=20", "figures=none", "seed=7"),
    "data.columns.state=ordinal",
)


def table() -> pl.DataFrame:
    """Numbers, text, true or false, levels, dates, and missing values."""
    drawn = np.random.default_rng(7)
    size, kind = drawn.normal(80, 20, ROWS), drawn.choice(["studio", "flat", "house"], ROWS)
    columns = {
        "size": size.round(1),
        "kind": kind,
        "town": [f"town {number}" for number in drawn.integers(0, 30, ROWS)],
        "garden": drawn.random(ROWS) > 0.5,
        "state": drawn.choice(["low", "medium", "high"], ROWS),
        "sold": [f"2023-{month:02}-{1 + 2 * month:02}" for month in drawn.integers(1, 13, ROWS)],
    }
    empty = {name: pl.Series(drawn.random(ROWS) < 0.1) for name in ("size", "kind", "garden", "sold")}
    missing = [pl.when(~lacks).then(pl.col(name)).alias(name) for name, lacks in empty.items()]
    price = 2 * size + 50 * (kind == "house") + drawn.normal(0, 5, ROWS)
    return pl.DataFrame(columns).with_columns(missing).with_columns(price=price.round(2))


def main() -> None:
    """Replaces the folder of this release."""
    folder = Path(__file__).parent / VERSION
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    table().write_csv("table.csv")
    run = mlplab.train(folder="run", overrides=SETTINGS, progress=False)
    run.save("run.mlplab", seen=True)
    frame = pl.read_csv("table.csv")
    run.predict(frame, interval=0.9).write_csv("predicted.csv")
    for name in ("checkpoints/last.ckpt", "train.log", "environment.json", "test_predictions.csv"):
        Path("run", name).unlink()


if __name__ == "__main__":
    main()
