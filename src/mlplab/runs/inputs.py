"""The rows that configurations name, and what is worked out of them: once, however many runs ask."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.resources import as_file, files
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mlplab import config
from mlplab.data import synthetic
from mlplab.data.dialect import Given
from mlplab.data.lanes import Role, Wanted
from mlplab.data.opening import opened
from mlplab.data.source import Source
from mlplab.data.split import (
    Codes,
    Split,
    file_split,
    group_split,
    kfold_split,
    random_split,
    time_split,
)
from mlplab.data.stored import table_of
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError
from mlplab.runs.baselines import Scores, baselines

Data = config.ConcreteTable | config.CsvTable | config.SyntheticTable
T = TypeVar("T")

TARGET = "target"
"""The column to predict of tables that are not the user's."""

GIBIBYTE = 2**30

STORED = "stored"
"""In a table's fingerprint: whether it was trained from a file."""


class Inputs:
    """Tables, splits and baselines of runs, each made when first asked for and kept.

    Whoever trains makes one of its own, so that a file which has changed since is read again.
    """

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def table(self, run: config.TrainConfig) -> Table:
        """The table that a run's configuration names."""
        return self._once("table", table_key(run), lambda: load_table(run))

    def fingerprint(self, run: config.TrainConfig) -> dict[str, int | str]:
        """What tells whether the table is the same later, and gives the same order of rows."""

        def make() -> dict[str, int | str]:
            table = self.table(run)
            return {**table.fingerprint(), STORED: table.stored}

        return self._once("fingerprint", table_key(run), make)

    def split(self, run: config.TrainConfig) -> Split:
        """Its parts."""
        key = table_key(run), run.data.split.model_dump_json()
        return self._once("split", key, lambda: make_split(run.data.split, self.table(run)))

    def baselines(self, run: config.TrainConfig) -> dict[str, Scores]:
        """What a network must beat on that split."""

        def make() -> dict[str, Scores]:
            table = self.table(run)
            return baselines(table.x, table.y, table.weight, self.split(run), table.schema.categories)

        return self._once("baselines", (table_key(run), run.data.split.model_dump_json()), make)

    def _once(self, kind: str, key: Any, make: Callable[[], T]) -> T:
        if (kind, key) not in self._made:
            self._made[kind, key] = make()
        return self._made[kind, key]


def table_key(run: config.TrainConfig) -> tuple[Any, ...]:
    """What the table of a run depends on."""
    return (
        run.data.model_dump_json(exclude={"split", "batch_size"}),
        _wanted(run).roles,
        _raw(run),
        _dtype(run),
    )


def load_table(run: config.TrainConfig) -> Table:
    """The table that a run's configuration names.

    Raises:
        UserError: with all that is wrong with it.
    """
    memory = run.data.memory if isinstance(run.data, config.CsvData) else None
    with opened_source(run.data) as source, reading_progress() as progress:
        task = progress.add_task(source.where, total=None)
        table = table_of(
            source,
            _wanted(run),
            _dtype(run),
            None if memory is None else memory * GIBIBYTE,
            lambda rows: progress.update(task, completed=rows),
        )
    if run.model.encoder.target == "log" and (table.y[table.rows] <= 0).any():
        count = int((table.y[table.rows] <= 0).any(1).sum())
        what = f"{count:,} rows have a target of 0 or less, which has no logarithm"
        raise UserError(Fault(what, table.source, remedy="use model.encoder.target=standard"))
    return table


@contextmanager
def opened_source(data: Data) -> Iterator[Source]:
    """The rows that a data section names, while their files are open."""
    with ExitStack() as contexts:
        match data:
            case config.ConcreteTable():
                path = contexts.enter_context(as_file(files("mlplab.data") / "concrete.csv"))
                yield contexts.enter_context(opened(path, where="concrete"))
            case config.CsvTable():
                yield contexts.enter_context(opened(data.path, given(data)))
            case config.SyntheticTable():
                frame = synthetic.draw(
                    data.function, rows=data.rows, features=data.features, noise=data.noise, seed=data.seed
                )
                yield Source(f"synthetic {data.function}", frame)


def given(data: Data) -> Given:
    """How a table's text is written, as far as its configuration says."""
    if not isinstance(data, config.CsvTable):
        return Given()
    return Given(data.delimiter, data.quote, data.decimal, data.header, data.encoding)


def _wanted(run: config.TrainConfig) -> Wanted:
    """What a run takes of its table."""
    keys: tuple[tuple[str, Role], ...] = (("group", "group"), ("time", "time"), ("stratify", "class"))
    of_split = [(name, role) for key, role in keys if (name := getattr(run.data.split, key, None))]
    wanted = wanted_of(run.data)
    return replace(wanted, roles=(*wanted.roles, *of_split), raw=_raw(run))


def wanted_of(data: Data) -> Wanted:
    """What is wanted of a table, whatever is done with it."""
    if not isinstance(data, config.CsvTable):
        return Wanted(((TARGET, "target"),))
    roles: list[tuple[str, Role]] = [(name, "target") for name in data.target]
    roles += [(data.weight, "weight")] if data.weight else []
    drop = data.missing_target == "drop"
    return Wanted(tuple(roles), data.columns, tuple(data.missing), drop_missing_targets=drop)


def _raw(run: config.TrainConfig) -> bool:
    """Whether the network sees numbers as they are."""
    return run.model.encoder.name == "none"


def _dtype(run: config.TrainConfig) -> type[np.floating]:
    return np.float64 if run.trainer.precision == 64 else np.float32


def make_split(split: config.Split, table: Table) -> Split:
    """The parts of a table.

    Raises:
        UserError: if a part is left without a row, or without a row that counts.
    """
    rows, keys = table.rows, table.keys
    codes: dict[str, Codes] = {
        role: np.where(np.isnan(key.values), -1, key.values).astype(np.int64)
        for role, key in keys.items()
        if role != "time"
    }
    times = keys["time"].values if "time" in keys else None
    names = keys["class"].names if "class" in keys else ()
    match split:
        case config.RandomSplit():
            parts = random_split(
                rows,
                val=split.val,
                test=split.test,
                seed=split.seed,
                classes=codes.get("class"),
                names=names,
            )
        case config.GroupSplit():
            parts = group_split(rows, codes["group"], val=split.val, test=split.test, seed=split.seed)
        case config.TimeSplit():
            assert times is not None
            parts = time_split(rows, times, val=split.val, test=split.test)
        case config.FileSplit():
            parts = file_split(rows, len(table.x), split.path, val=split.val, seed=split.seed)
        case config.KFoldSplit():
            parts = kfold_split(
                rows,
                folds=split.folds,
                fold=split.fold,
                val=split.val,
                seed=split.seed,
                groups=codes.get("group"),
                times=times,
                classes=codes.get("class"),
                names=names,
            )
    if table.weight is not None:
        for name in ("train", "val", "test"):
            if not table.weight[getattr(parts, name)].any():
                where, remedy = f"{table.source}, column '{table.schema.weight}'", "split the rows otherwise"
                raise UserError(Fault(f"all weights of the {name} part are 0", where, remedy=remedy))
    return parts


def reading_progress() -> Progress:
    """On a terminal, and only where reading takes long enough to see."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}: {task.completed:,} rows read"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
