"""The search as users type it, and what is searched."""

from pathlib import Path

from benchmarks.machine import ROOT

HIDDEN, BATCH_SIZE = (64, 64), 100

MONITOR = "val/rmse"

PLAIN = (f"data.batch_size={BATCH_SIZE}", "model.periodic_features=0")

SHAPE = (f"model.hidden=[{','.join(map(str, HIDDEN))}]", *PLAIN)

WIDTHS = ("model.hidden=choice([32,32],[64,64],[128,128],[64,64,64])", *PLAIN)

LR, DECAY, DROPOUT, DELTA = (1e-4, 1e-1), (1e-4, 1.0), (0.0, 0.5), (0.1, 3.0)
"""The lowest and highest value of each; all but dropout on a logarithmic scale."""

SPACE = (
    f"optimizer.lr=tag(log, interval({LR[0]}, {LR[1]}))",
    f"optimizer.weight_decay=tag(log, interval({DECAY[0]}, {DECAY[1]}))",
    f"model.dropout=interval({DROPOUT[0]}, {DROPOUT[1]})",
    "loss=huber",
    f"loss.delta=tag(log, interval({DELTA[0]}, {DELTA[1]}))",
    f"monitor={MONITOR}",
)


TRAIN = str(ROOT / "scripts/train.py")


def search_words(folder: Path, trials: int, epochs: int, seed: int, *more: str) -> list[str]:
    """What follows `python` in the command of a search on the table concrete; `more` are further words."""
    return [
        *(TRAIN, "-m", *SPACE, *more, "sweep.sampler=tpe", f"sweep.trials={trials}"),
        *(f"trainer.max_epochs={epochs}", f"seed={seed}", "figures=none", "hydra.launcher.workers=1"),
        f"hydra.sweep.dir={folder}",
    ]
