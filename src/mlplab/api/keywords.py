"""Python's arguments as the overrides that a command line would have."""

import re
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlplab.config.dotted_keys import quoted
from mlplab.data.frames import FrameLike, to_polars
from mlplab.data.load_table import TARGET
from mlplab.errors import Fault, UserError

Target = str | Sequence[str] | Any
"""The name of a column, names of several, or the values themselves: a series or an array."""

WORD = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][A-Za-z_0-9]*", re.IGNORECASE)
"""Text that needs no quotes, and is shorter in the names of folders without them."""

COLUMNS = ("data", "columns")
"""The section whose keys are names of columns, which may contain any character."""


def read_data(
    data: FrameLike | str | PathLike[str] | None, target: Target, keys: dict[str, Any]
) -> tuple[pl.DataFrame | None, list[str]]:
    """The frame in memory, if there is one, and the overrides that name the table and its target.

    A frame or path among the keywords, where the section `data` belongs, is taken from there.

    Raises:
        UserError: if the frame is no table, or the target has another number of rows.
    """
    if data is None and not isinstance(keys.get("data"), Mapping):
        data = keys.pop("data", None)
    frame, words = None, list[str]()
    if isinstance(data, str | PathLike):
        words = ["data=csv", _override(("data", "path"), fspath(data))]
    elif data is not None:
        frame, words = to_polars(data), ["data=frame"]
        if target is not None and not isinstance(target, str) and not _are_names(target):
            frame, target = _with_target(frame, target)
    return frame, words if target is None else [*words, _override(("data", "target"), target)]


def overrides_of(keys: Mapping[str, Any], folders: Sequence[Path], *sections: str) -> Iterator[str]:
    """The overrides that nested keywords stand for.

    Args:
        folders: of the configuration: a folder in them is a group, whose options are chosen by name.
    """
    for key, value in keys.items():
        path = (*sections, key)
        is_group = any(folder.joinpath(*path).is_dir() for folder in folders)
        if is_group and isinstance(value, str):
            yield f"{'/'.join(path)}={value}"
        elif is_group and isinstance(value, Sequence):
            yield f"{'/'.join(path)}=[{','.join(value)}]"
        elif path == COLUMNS:
            pairs = ",".join(f"[{quoted(name)},{_literal(kind)}]" for name, kind in value.items())
            yield from (f"~{'.'.join(path)}", f"+{'.'.join(path)}=[{pairs}]")
        elif isinstance(value, Mapping) and value:
            values = dict(value)
            if is_group and "name" in values:
                yield f"{'/'.join(path)}={values.pop('name')}"
            yield from overrides_of(values, folders, *path)
        else:
            yield _override(path, value)


def choices(key_and_values: tuple[str, Sequence[Any]]) -> str:
    """The override of a key of a grid, with all of its values."""
    key, values = key_and_values
    return f"{key}={','.join(map(_literal, values))}"


def _override(path: Sequence[str], value: Any) -> str:
    """An override of one key, which may be in no configuration file."""
    return f"++{'.'.join(path)}={_literal(value)}"


def _literal(value: Any) -> str:
    """A value as overrides write it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple | range | np.ndarray):
        return f"[{','.join(map(_literal, value))}]"
    text = fspath(value) if isinstance(value, PathLike) else str(value)
    return text if WORD.fullmatch(text) else quoted(text)


def _are_names(target: Target) -> bool:
    return isinstance(target, list | tuple) and all(isinstance(name, str) for name in target)


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
