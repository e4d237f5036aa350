"""Python's arguments as overrides: values stay what they are; options, and what is typed, are text."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from os import PathLike, fspath
from typing import Any

import numpy as np
import polars as pl
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Override,
    OverrideType,
    ParsedElementType,
    Quote,
    QuotedString,
    Transformer,
    ValueType,
)

from mlplab.composition.config_folders import GROUPS
from mlplab.composition.overrides import Keyword, keys_of, path_of, read_overrides
from mlplab.config import TrainConfig
from mlplab.config.data import as_label
from mlplab.data.frames import FrameLike, to_polars
from mlplab.data.load_table import TARGET
from mlplab.errors import Fault, UserError, did_you_mean, nearest, refusal
from mlplab.files import Plain

# A polars, pandas or Arrow frame, a dict of columns, or the path of a file; None: the configuration's.
Table = FrameLike | str | PathLike[str] | None

Target = str | Sequence[str] | Any  # the name of a column, names of several, or the values themselves

Overrides = Sequence[Override]  # values of keys and choices of options

# Text that is shown without quotes, also in the names of folders.
WORD = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][A-Za-z_0-9]*", re.IGNORECASE)

# Arguments of Python's functions that are no keys.
ARGUMENTS = "target folder resume overrides progress grid seeds trials minutes space".split()  # noqa: SIM905


def read_arguments(
    table: Table, target: Target, keys: Plain, words: Sequence[str], varying: Overrides | None = None
) -> tuple[pl.DataFrame | None, Overrides]:
    """The frame in memory, if there is one, and the overrides that all arguments stand for.

    A frame or path among the keywords, where the section `data` belongs, is the table.

    Args:
        words: overrides as typed.
        varying: what a sweep adds to them; None: it is one run.

    Raises:
        UserError: if the frame is no table, the target does not fit it, or an argument is misspelt; as
            `read_overrides`.
    """
    if isinstance(words, str):
        raise refusal("is no list", "overrides", f"write overrides=[{words!r}]")
    for key in keys:
        if (near := nearest(key, [*ARGUMENTS, *TrainConfig.model_fields])) and near[0] in ARGUMENTS:
            remedy = "leave it out" if key in ARGUMENTS else did_you_mean([f"{near[0]}="])
            raise refusal("is no argument of this function", key, remedy)
    if table is None and not isinstance(keys.get("data"), Mapping):
        table = keys.pop("data", None)
    frame, data = None, Plain()
    if isinstance(table, str | PathLike):
        data = {"name": "csv", "path": table}
        if not _is_named(target):
            raise refusal("is given as values, and the table as a path", "target", "name its column")
    elif table is not None:
        frame, data = to_polars(table), {"name": "frame"}
        if not _is_named(target, frame):
            frame, target = _with_targets(frame, target)
    if target is not None:
        data["target"] = target
    keywords = [*keywords_of({"data": data}), *keywords_of(keys), *(varying or ())]
    given = read_overrides(words, multirun=varying is not None, keywords=keywords)
    if folders := {"name", "hydra.run.dir", "hydra.sweep.dir"} & keys_of(given):
        raise refusal("has no effect in Python", folders.pop(), "use folder=…")
    return frame, given


def keywords_of(keys: Mapping[Any, Any], section: str = "") -> Iterator[Override]:
    """The overrides that the keys of a section stand for, nested or with dots."""
    for name, value in keys.items():
        key = f"{section}{_text(name)}"
        if isinstance(value, Mapping):
            yield from keywords_of(value, f"{key}.")
        else:
            yield setting(key, value)


def choices(grid: Plain) -> list[Override]:
    """The overrides of a grid, each with all values of a key.

    Raises:
        UserError: if a key has no list of values.
    """
    for key, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            found, remedy = repr(values), f"write {{{key!r}: [{values!r}]}}"
            raise UserError(Fault("needs a list of values", key, found, remedy=remedy))
    return [setting(key, *values) for key, values in grid.items()]


def setting(key: str, *values: object) -> Override:
    """The override that gives a key a value, or each of several in turn; an option is chosen by its name."""
    key, elements, several = ".".join(path_of(key)), [*map(_element, values)], len(values) != 1
    text, group = ",".join(map(Transformer.str, elements)), key.removesuffix(".name")
    value = ChoiceSweep(list=elements, simple_form=True) if several else elements[0]
    kind = ValueType.SIMPLE_CHOICE_SWEEP if several else ValueType.ELEMENT
    if group in GROUPS:
        group = group.replace(".", "/")
        return Override(OverrideType.CHANGE, group, kind, value, input_line=f"{group}={text}")
    return Keyword(OverrideType.CHANGE, key, kind, value, input_line=f"{key}={text}")


def _text(name: object) -> str:
    return str(as_label(name.item() if isinstance(name, np.generic) else name))


def _element(value: object) -> ParsedElementType:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_text(key): _element(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [*map(_element, value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = fspath(value) if isinstance(value, PathLike) else str(value)
    return text if WORD.fullmatch(text) else QuotedString(text, Quote.single)  # which is shown with quotes


def _is_named(target: Target, frame: pl.DataFrame | None = None) -> bool:
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
        raise refusal(f"has the name of a column, '{name}'", "target", remedy)
    return pl.concat([frame, targets], how="horizontal"), targets.columns
