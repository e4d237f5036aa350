"""What do estimators cost, and what does lockstep save?

estimators  TableRegressor beside `train`, and cross_validate beside scikit-learn's; equal in each bit
  folds=20 epochs=100
  hidden=auto;[64,64]   widths of the hidden layers
"""
# mypy: disable-error-code="import-untyped"

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from importlib import import_module
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from benchmarks import child, harness
from mlplab.errors import RunFailed

REFERENCE = "reference"  # the base of each case: the command, and scikit-learn's own loop

FUNCTIONS = {
    ("fit", REFERENCE): "as_command",
    ("fit", "TableRegressor"): "as_estimator",
    ("cross-validation", REFERENCE): "fold_by_fold",
    ("cross-validation", "in lockstep"): "in_lockstep",
}


class Estimators(harness.Benchmark):
    """The arguments of this benchmark."""

    folds: harness.Count = 20
    epochs: harness.Count = 100
    hidden: Annotated[tuple[str, ...], BeforeValidator(lambda text: text.split(";"))] = ("auto", "[64,64]")


def measure(arguments: Estimators) -> None:
    """Times the contenders; raises RunFailed if those of a case, or another checkout, give other numbers."""
    contenders: harness.Contenders = {}
    with TemporaryDirectory() as name:
        for hidden, checkout in product(arguments.hidden, arguments.checkouts):
            words = (str(arguments.epochs), str(arguments.folds), hidden)
            for (case, contender), function in FUNCTIONS.items():
                ask = partial(checkout.ask, f"estimators.{function}", *words, folder=Path(name))
                contenders[f"{case}, hidden={hidden}", arguments.title(contender, checkout)] = ask
        times = harness.alternate(contenders, arguments.repeats)
    digests: dict[str, float] = {}
    for (case, contender), measured in times.items():
        for answer in measured.answers:
            if digests.setdefault(case, answer["digest"]) != answer["digest"]:
                raise RunFailed(f"{case}: the numbers of {contender} differ from those of {REFERENCE}")
    caption = f"{REFERENCE}: the command train, and scikit-learn's cross_validate"
    harness.report(arguments, times, harness.comparison("seconds without imports", times, REFERENCE, caption))


def as_command(epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    """Trains with the estimator's rows for training and validation, and predicts all rows."""
    import mlplab
    from mlplab.data.splits.splitters import random_split

    frame = _table()
    parts = np.full(len(frame), "train")
    parts[random_split(np.arange(len(frame)), val=0.15, test=0.0, seed=0).val] = "val"
    Path("parts.txt").write_text("\n".join(parts) + "\n", encoding="utf-8")
    frame.write_csv("table.csv")
    split = ("data/split=file", "data.split.path=parts.txt", "ensemble=1")
    words = (*split, f"model.hidden={hidden}", f"trainer.max_epochs={epochs}")
    train = partial(mlplab.train, "table.csv", "target", overrides=words, progress=False)
    return _timed(lambda: train().predict(frame.drop("target")))


def as_estimator(epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    """Fits the estimator, and predicts all rows."""
    frame = _table()
    x = frame.drop("target")
    return _timed(lambda: _estimator(epochs, hidden).fit(x, frame["target"]).predict(x))


def fold_by_fold(epochs: str, folds: str, hidden: str, of: str = "sklearn.model_selection") -> dict[str, Any]:
    """The scores of scikit-learn's `cross_validate`, or of another one."""
    from sklearn.model_selection import KFold

    cross_validate = import_module(of).cross_validate
    frame, cv = _table(), KFold(int(folds), shuffle=True, random_state=0)
    x, y = frame.drop("target"), frame["target"]
    return _timed(lambda: cross_validate(_estimator(epochs, hidden), x, y, cv=cv)["test_score"])


def in_lockstep(epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    """The scores of mlplab's `cross_validate`."""
    return fold_by_fold(epochs, folds, hidden, "mlplab.sklearn")


def _table() -> Any:
    import polars as pl

    import mlplab

    return pl.read_csv(Path(mlplab.__file__).with_name("data") / "concrete.csv")


def _estimator(epochs: str, hidden: str) -> Any:
    from mlplab.sklearn import TableRegressor

    return TableRegressor(ensemble=1, max_epochs=int(epochs), overrides=(f"model.hidden={hidden}",))


def _timed(numbers: Callable[[], np.ndarray]) -> dict[str, Any]:
    """The seconds of a call after all imports, and a digest of the numbers that it returns."""
    frame = _table()
    _estimator("1", "auto").fit(frame.drop("target"), frame["target"])
    answer = child.timed(numbers)
    digest = sha256(np.ascontiguousarray(answer["value"]).tobytes()).digest()
    return answer | {"digest": int.from_bytes(digest[:6])}
