"""The hyperparameters that TensorBoard's HParams tab gets."""

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from support import hparams_of, resolved

from mlplab.runs.observers.loggers import close_loggers, log_start, truncate_curves


def test_hparams_are_what_changes_something_about_the_network(tmp_path: Path) -> None:
    run = resolved("data=synthetic", "model.hidden=[8,4]", "name=r", "figures=none", "optimizer.lr=0.1")
    for _ in ("started", "resumed"):
        logger = TensorBoardLogger(str(tmp_path / "r"), name="", version="")
        truncate_curves([logger], epoch=0, step=0)
        log_start([logger], run)
        close_loggers([logger], success=True)
        shown = hparams_of(tmp_path / "r")
        assert (shown["optimizer.lr"], shown["model.hidden"], shown["init_from"]) == (0.1, "[8,4]", "null")
        assert not {"name", "figures", "baselines"} & {*shown}
