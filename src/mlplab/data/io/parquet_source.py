"""Rows of Parquet files."""

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl
from typing_extensions import override

from mlplab.data.io.same_columns import check_alike, title
from mlplab.data.io.source import Source, first_line
from mlplab.data.parse import named
from mlplab.errors import Fault, UserError

UNFOLDED = 2**30
"""Bytes that a Parquet file may unfold to, however small it is."""

UNFOLDED_TIMES = 200
"""Its size, that it may unfold to."""


class ParquetSource(Source):
    """Rows of Parquet files."""

    def __init__(self, where: str, paths: Sequence[Path]) -> None:
        self.where, self.paths = where, paths
        self._parts: list[pl.LazyFrame] = []
        self._heights: list[int] = []
        for path in paths:
            file = title(path, paths, where)
            try:
                part = pl.scan_parquet(path, glob=False)
                schema = dict(part.collect_schema())
                height = part.select(pl.len()).collect().item()
            except (pl.exceptions.PolarsError, OSError) as error:
                what = f"cannot be read as Parquet: {first_line(error)}"
                remedy = "copy it anew from where it came from; if it is CSV, let its name end in .csv"
                raise UserError(Fault(what, file, remedy=remedy)) from error
            unfolded, size = 8 * len(schema) * height, path.stat().st_size
            if unfolded > max(UNFOLDED, UNFOLDED_TIMES * size):
                what = f"unfolds from {size:,} bytes to about {unfolded / 2**30:,.0f} GiB"
                raise UserError(Fault(what, file, remedy="give its rows in parts, or as CSV"))
            if self._parts:
                check_alike(self.schema, schema, file, str(paths[0]))
            else:
                self.schema = schema
            self._parts.append(part)
            self._heights.append(height)
        self.schema = dict(self.scan().collect_schema())

    @override
    def rows(self) -> int:
        return sum(self._heights)

    @override
    def scan(self, floats: Collection[str] = (), nulls: Sequence[str] = ()) -> pl.LazyFrame:
        return pl.concat(
            [part.select(map(named, self.schema)) for part in self._parts], how="vertical_relaxed"
        )

    @override
    def faults(self, error: Exception) -> list[Fault]:
        return [Fault(f"cannot be read as Parquet: {first_line(error)}", self.where)]

    @override
    def place(self, row: int, column: str) -> str:
        for path, height in zip(self.paths, self._heights, strict=True):
            if row < height:
                return f"{title(path, self.paths, self.where)}, {column}, data row {row + 1}"
            row -= height
        raise IndexError(row)
