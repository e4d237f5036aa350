"""The rows that configurations name, and what is worked out of them: once, however many runs ask."""

from collections.abc import Callable
from typing import Any, TypeVar

from mlplab import config
from mlplab.data import synthetic
from mlplab.data.schema import Schema
from mlplab.data.split import Split, file_split, kfold_split, random_split
from mlplab.data.table import Table, concrete, read_csv
from mlplab.runs.baselines import Scores, baselines

Data = config.ConcreteData | config.CsvData | config.SyntheticData
T = TypeVar("T")


class Inputs:
    """Tables, splits, schemas and baselines, each made when first asked for and kept.

    Whoever trains makes one of its own, so that a file which has changed since is read again.
    """

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def table(self, data: Data) -> Table:
        """The table that a data section names."""
        return self._once("table", _source(data), lambda: load_table(data))

    def fingerprint(self, data: Data) -> dict[str, int | str]:
        """What tells whether the table is the same later."""
        return self._once("fingerprint", _source(data), lambda: self.table(data).fingerprint())

    def split(self, data: Data) -> Split:
        """Its parts."""
        rows = self.table(data).frame.height
        return self._once("split", data, lambda: make_split(data.split, rows))

    def schema(self, data: Data, *, raw: bool) -> Schema:
        """Its columns' meaning."""
        return self._once("schema", (_source(data), raw), lambda: Schema.of(self.table(data), raw=raw))

    def baselines(self, data: Data, schema: Schema) -> dict[str, Scores]:
        """What a network must beat on that split."""

        def make() -> dict[str, Scores]:
            x, y = schema.centred(self.table(data))
            return baselines(x, y[:, 0], self.split(data))

        return self._once("baselines", (data, schema), make)

    def _once(self, kind: str, key: Any, make: Callable[[], T]) -> T:
        if (kind, key) not in self._made:
            self._made[kind, key] = make()
        return self._made[kind, key]


def _source(data: Data) -> str:
    return data.model_dump_json(exclude={"split", "batch_size"})


def load_table(data: Data) -> Table:
    """The table that a data section names."""
    match data:
        case config.ConcreteData():
            return concrete()
        case config.CsvData():
            return read_csv(data.path, data.target)
        case config.SyntheticData():
            return synthetic.draw(
                data.function, rows=data.rows, features=data.features, noise=data.noise, seed=data.seed
            )


def make_split(split: config.RandomSplit | config.FileSplit | config.KFoldSplit, rows: int) -> Split:
    """The parts of a table of that many rows."""
    match split:
        case config.RandomSplit():
            return random_split(rows, val=split.val, test=split.test, seed=split.seed)
        case config.FileSplit():
            return file_split(rows, split.path, val=split.val, seed=split.seed)
        case config.KFoldSplit():
            return kfold_split(rows, folds=split.folds, fold=split.fold, val=split.val, seed=split.seed)
