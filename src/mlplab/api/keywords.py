"""Python's arguments as the overrides that a command line would have."""

import re
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
import polars as pl

from mlplab.cli.config_folders import SHIPPED
from mlplab.cli.overrides import readable
from mlplab.config.dotted_keys import quoted
from mlplab.data.frames import FrameLike, to_polars
from mlplab.data.load_table import TARGET
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

CLASS_WEIGHTS = ("data", "class_weights")
"""The key whose value may be a mapping, by classes."""


def arguments_as_overrides(
    table: Table, target: Target, keys: dict[str, Any], overrides: Sequence[str]
) -> tuple[pl.DataFrame | None, list[str]]:
    """The frame in memory, if there is one, and the overrides that all arguments stand for.

    A frame or path among the keywords, where the section `data` belongs, is the table.

    Raises:
        UserError: if the frame is no table, or the target has another number of rows.
    """
    if table is None and not isinstance(keys.get("data"), Mapping):
        table = keys.pop("data", None)
    frame, data = None, dict[str, Any]()
    if isinstance(table, str | PathLike):
        data = {"name": "csv", "path": table}
    elif table is not None:
        frame, data = to_polars(table), {"name": "frame"}
        if not _is_named(target):
            frame, target = _with_target(frame, target)
    if target is not None:
        data["target"] = target
    return frame, [*overrides_from({"data": data}), *overrides_from(keys, overrides)]


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


def choices(grid: Mapping[str, Sequence[Any]]) -> list[str]:
    """The overrides of a grid, each with all values of a key."""
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


def _is_named(target: Target) -> bool:
    """Whether a target is given by names, if at all, and not by values."""
    names = target if isinstance(target, list | tuple) else [target]
    return all(isinstance(name, str | None) for name in names)


def _with_target(frame: pl.DataFrame, values: Any) -> tuple[pl.DataFrame, str]:
    """A frame with the values of a target as a further column, and its name.

    Raises:
        UserError: if it has another number of rows, or a column of that name already.
    """
    name = str(getattr(values, "name", None) or TARGET)
    column = to_polars({name: values}, "the target").to_series()
    if len(column) != len(frame):
        what, found = "has another number of rows than the frame", f"{len(column):,} and {len(frame):,}"
        raise UserError(Fault(what, "target", found, remedy="give a value for each row"))
    if name in frame.columns:
        remedy = f"give its name, target='{name}', or rename one of them"
        raise UserError(Fault(f"has the name of a column, '{name}'", "target", remedy=remedy))
    return frame.with_columns(column.alias(name)), name
