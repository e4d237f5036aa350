"""What do estimators cost, and what does lockstep save?

estimators  TableRegressor beside the command `train`, with the same rows for training and validation; and
          cross_validate in lockstep beside scikit-learn's own. On the table that ships with mlplab, without
          imports; refuses to report if predictions or scores differ in a bit
  folds=20 epochs=100
  hidden=auto;[64,64]   widths of the hidden layers
"""
# mypy: disable-error-code="import-untyped"

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from benchmarks import child, harness
from mlplab.errors import RunFailed

REFERENCE = "reference"
"""The base of each case: the command, and scikit-learn's own loop."""

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
    hidden: Annotated[tuple[str, ...], BeforeValidator(lambda text: tuple(text.split(";")))] = (
        "auto",
        "[64,64]",
    )


def measure(arguments: Estimators) -> None:
    """Times the contenders of each case.

    Raises:
        RunFailed: if those of a case do not give the same numbers, also in another checkout.
    """
    contenders: dict[harness.Key, harness.Contender] = {}
    with TemporaryDirectory() as name:
        for hidden in arguments.hidden:
            words = (str(arguments.epochs), str(arguments.folds), hidden)
            for (case, contender), function in FUNCTIONS.items():
                for title, checkout in arguments.titled(contender):
                    ask = partial(checkout.ask, f"estimators.{function}", *words, folder=Path(name))
                    contenders[f"{case}, hidden={hidden}", title] = ask
        times = harness.alternate(contenders, arguments.repeats)
    digests: dict[str, float] = {}
    for (case, contender), measured in times.items():
        for answer in measured.answers:
            if digests.setdefault(case, answer["digest"]) != answer["digest"]:
                raise RunFailed(f"{case}: the numbers of {contender} differ from those of {REFERENCE}")
    caption = f"{REFERENCE}: the command train, and scikit-learn's cross_validate"
    table = harness.comparison("seconds without imports", times, REFERENCE, caption=caption)
    harness.report(arguments, [table], times)


def as_command(epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    """Trains with the estimator's rows for training and validation, and predicts all rows."""
    import mlplab
    from mlplab.data.splits.splitters import random_split

    frame = _table()
    rows = random_split(np.arange(len(frame)), val=0.15, test=0.0, seed=0)
    parts = np.full(len(frame), "train")
    parts[rows.val] = "val"
    Path("parts.txt").write_text("\n".join(parts) + "\n", encoding="utf-8")
    frame.write_csv("table.csv")

    def predictions() -> np.ndarray:
        split = ("data/split=file", "data.split.path=parts.txt")
        keys = (f"model.hidden={hidden}", f"trainer.max_epochs={epochs}", "ensemble=1")
        run = mlplab.train("table.csv", "target", overrides=[*split, *keys], progress=False)
        return np.asarray(run.predict(frame.drop("target")))

    return _timed(predictions)


def as_estimator(epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    """Fits the estimator, and predicts all rows."""
    frame = _table()
    x = frame.drop("target")
    return _timed(lambda: _estimator(epochs, hidden).fit(x, frame["target"]).predict(x))


def fold_by_fold(epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    """The scores of scikit-learn's `cross_validate`."""
    from sklearn.model_selection import cross_validate

    return _cross_validated(cross_validate, epochs, folds, hidden)


def in_lockstep(epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    """The scores of mlplab's `cross_validate`."""
    from mlplab.sklearn import cross_validate

    return _cross_validated(cross_validate, epochs, folds, hidden)


def _cross_validated(function: Callable[..., Any], epochs: str, folds: str, hidden: str) -> dict[str, Any]:
    from sklearn.model_selection import KFold

    frame, cv = _table(), KFold(int(folds), shuffle=True, random_state=0)
    x, y = frame.drop("target"), frame["target"]
    return _timed(lambda: function(_estimator(epochs, hidden), x, y, cv=cv)["test_score"])


def _table() -> Any:
    import polars as pl

    import mlplab

    return pl.read_csv(Path(mlplab.__file__).with_name("data") / "concrete.csv")


def _estimator(epochs: str, hidden: str) -> Any:
    from mlplab.sklearn import TableRegressor

    return TableRegressor(ensemble=1, max_epochs=int(epochs), overrides=(f"model.hidden={hidden}",))


def _timed(numbers: Callable[[], np.ndarray]) -> dict[str, Any]:
    """The seconds of a call after all imports, and a digest of the numbers that it returns."""
    frame, computed = _table(), list[np.ndarray]()
    _estimator("1", "auto").fit(frame.drop("target"), frame["target"])
    answer = child.timed(lambda: computed.append(numbers()))
    digest = sha256(np.ascontiguousarray(computed[0]).tobytes()).digest()
    return answer | {"digest": int.from_bytes(digest[:6])}


if __name__ == "__main__":
    child.main(as_command, as_estimator, fold_by_fold, in_lockstep)
