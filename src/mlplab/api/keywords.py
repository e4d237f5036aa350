"""Python's arguments as the overrides that a command line would have."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from os import PathLike, fspath
from typing import Any

import numpy as np
import polars as pl

from mlplab.cli.config_folders import SHIPPED
from mlplab.cli.overrides import readable, typed_keys
from mlplab.config import TrainConfig
from mlplab.config.dotted_keys import quoted
from mlplab.data.frames import FrameLike, to_polars
from mlplab.data.load_table import TARGET
from mlplab.did_you_mean import did_you_mean, nearest
from mlplab.errors import Fault, UserError
from mlplab.runs.compare.labels import as_typed

Table = FrameLike | str | PathLike[str] | None
"""A polars, pandas or Arrow frame, a dict of columns, or the path of a file; None: the configuration's."""

Target = str | Sequence[str] | Any
"""The name of a column, names of several, or the values themselves: a series or an array."""

WORD = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][A-Za-z_0-9]*", re.IGNORECASE)
"""Text that needs no quotes, and is shorter in the names of folders without them."""

SPECIAL = re.compile(r"[\\()\[\]{}:=,\s]")
"""Characters that have a backslash before them in keys of a mapping, which cannot be quoted."""

ARGUMENTS = "target folder resume overrides progress grid seeds trials minutes space".split()  # noqa: SIM905
"""Arguments of Python's functions that are no keys."""

FOLDERS = {"name", "hydra.run.dir", "hydra.sweep.dir"}
"""Keys that give a folder on the command line."""

CLASS_WEIGHTS = ("data", "class_weights")
"""The key whose value may be a mapping, by classes."""


def arguments_as_overrides(
    table: Table, target: Target, keys: dict[str, Any], *overrides: Sequence[str]
) -> tuple[pl.DataFrame | None, list[str]]:
    """The frame in memory, if there is one, and the overrides that all arguments stand for.

    A frame or path among the keywords, where the section `data` belongs, is the table.

    Raises:
        UserError: if the frame is no table, the target does not fit it, or an argument is misspelt.
    """
    for words in overrides:
        if isinstance(words, str):
            raise UserError(Fault("is no list", "overrides", remedy=f"write overrides=[{words!r}]"))
    for key in keys:
        if (near := nearest(key, [*ARGUMENTS, *TrainConfig.model_fields])) and near[0] in ARGUMENTS:
            remedy = "leave it out" if key in ARGUMENTS else did_you_mean([f"{near[0]}="])
            raise UserError(Fault("is no argument of this function", key, remedy=remedy))
    if table is None and not isinstance(keys.get("data"), Mapping):
        table = keys.pop("data", None)
    frame, data = None, dict[str, Any]()
    if isinstance(table, str | PathLike):
        data = {"name": "csv", "path": table}
        if not _is_named(target):
            remedy = "name its column, or pass the table as a frame"
            raise UserError(Fault("is given as values, and the table as a path", "target", remedy=remedy))
    elif table is not None:
        frame, data = to_polars(table), {"name": "frame"}
        if not _is_named(target, frame):
            frame, target = _with_targets(frame, target)
    if target is not None:
        data["target"] = target
    read = [*overrides_from({"data": data}), *overrides_from(keys, [*chain(*overrides)])]
    if folders := FOLDERS & typed_keys(read):
        raise UserError(Fault("has no effect in Python", folders.pop(), remedy="use folder=…"))
    return frame, read


def overrides_from(keys: Mapping[str, Any], overrides: Sequence[str] = ()) -> list[str]:
    """The overrides that nested keywords stand for, and those that are written as on a command line."""
    return readable([*_nested(keys), *overrides])


def _nested(keys: Mapping[str, Any], *sections: str) -> Iterator[str]:
    """The overrides of the keys of a section. A folder of the configuration is a group of options."""
    for key, value in keys.items():
        path = (*sections, key)
        is_group = SHIPPED.joinpath(*path).is_dir()
        if isinstance(value, Mapping) and path != CLASS_WEIGHTS:
            values = dict(value)
            if is_group and "name" in values:
                yield f"{'/'.join(path)}={values.pop('name')}"
            yield from _nested(values, *path)
        elif is_group:
            yield f"{'/'.join(path)}={_literal(value)}"
        else:
            yield f"++{'.'.join(path)}={_literal(value)}"


def choices(grid: Mapping[str, Any]) -> list[str]:
    """The overrides of a grid, each with all values of a key.

    Raises:
        UserError: if a key has no list of values.
    """
    for key, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            found, remedy = repr(values), f"write {{{key!r}: [{values!r}]}}"
            raise UserError(Fault("needs a list of values", key, found, remedy=remedy))
    return [f"{key}={','.join(map(_literal, values))}" for key, values in grid.items()]


def _literal(value: Any) -> str:
    """A value as overrides write it."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float):
        return as_typed(value)
    if isinstance(value, Mapping):
        escaped = {SPECIAL.sub(r"\\\g<0>", str(key)): _literal(item) for key, item in value.items()}
        return f"{{{','.join(map(':'.join, escaped.items()))}}}"
    if isinstance(value, list | tuple | range):
        return f"[{','.join(map(_literal, value))}]"
    text = fspath(value) if isinstance(value, PathLike) else str(value)
    return text if WORD.fullmatch(text) else quoted(text)


def _is_named(target: Target, frame: pl.DataFrame | None = None) -> bool:
    """Whether a target is given by names, if at all, and not by a value for each row of a frame."""
    names = target if isinstance(target, list | tuple) else [target]
    is_text = all(isinstance(name, str | None) for name in names)
    return is_text and (frame is None or len(names) != len(frame) or {*names} <= {*frame.columns})


def _with_targets(frame: pl.DataFrame, values: Any) -> tuple[pl.DataFrame, list[str]]:
    """A frame with the values of targets as further columns, and their names.

    Raises:
        UserError: if they have another number of rows, or the name of a column.
    """
    unused = next(name for more in count() if (name := TARGET + "_" * more) not in frame.columns)
    if getattr(values, "ndim", 1) == 2 and not hasattr(values, "columns"):
        values = {f"{unused}{number}": column for number, column in enumerate(values.T)}
    elif not hasattr(values, "columns"):
        values = {str(getattr(values, "name", None) or unused): values}
    targets = to_polars(values, "the target")
    if len(targets) != len(frame):
        what, found = "has another number of rows than the frame", f"{len(targets):,} and {len(frame):,}"
        raise UserError(Fault(what, "target", found, remedy="give a value for each row"))
    if known := {*targets.columns} & {*frame.columns}:
        remedy = f"give its name, target='{(name := known.pop())}', or rename one of them"
        raise UserError(Fault(f"has the name of a column, '{name}'", "target", remedy=remedy))
    return pl.concat([frame, targets], how="horizontal"), targets.columns
