"""The hyperparameters that TensorBoard's HParams tab gets."""

from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from support import hparams_of, resolved

from mlplab.runs.loggers.files import close_loggers, truncate_curves
from mlplab.runs.loggers.tensorboard import log_start


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["optimizer.lr=0.1", "name=r", "figures=none"], {"optimizer.lr": 0.1}),
        # Of an option its name, not all of its keys.
        (["data=penguins", "data/split=kfold"], {"data.name": "penguins", "data.split.name": "kfold"}),
        (["+data.columns.age=numeric"], {"data.columns.age": "numeric"}),
        (
            ["model.hidden=[8,4]", "callbacks.early_stopping.patience=null"],
            {"callbacks.early_stopping.patience": "null", "model.hidden": "[8,4]"},
        ),
        (["name=r"], {"optimizer.lr": 0.005}),  # without any, TensorBoard would say that there is no data
        (["experiment=digits", "seed=1"], {"experiment": "digits", "seed": 1}),
    ],
)
def test_hparams_are_what_was_typed(
    tmp_path: Path, overrides: list[str], expected: dict[str, object]
) -> None:
    csv = tmp_path / "t.csv"
    csv.write_text("age,x,y\n" + "".join(f"{n},{n % 7},{n % 5}\n" for n in range(99)))
    of_table = ["data=csv", f"data.path={csv}", "data.target=y"] if "columns" in overrides[0] else []
    run = resolved(*of_table, *overrides)
    for _ in ("started", "resumed"):
        logger = TensorBoardLogger(str(tmp_path / "r"), name="", version="")
        truncate_curves([logger], epoch=0, step=0)
        log_start([logger], run, overrides)
        close_loggers([logger], success=True)
        assert hparams_of(tmp_path / "r") == expected
