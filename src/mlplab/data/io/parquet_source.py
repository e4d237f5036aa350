"""Rows of a Parquet file."""

from pathlib import Path

import polars as pl

from mlplab.data.io.source import Source, first_line
from mlplab.errors import Fault, UserError

EXPANDED = 2**30
"""Bytes to which any Parquet file may expand."""

EXPANDED_TIMES = 200
"""Factor by which a larger file may expand."""


class ParquetSource(Source):
    """Rows of a Parquet file."""

    format = " as Parquet"

    def __init__(self, path: Path, where: str) -> None:
        self.where, self.paths = where, [path]
        try:
            self._rows = pl.scan_parquet(path, glob=False)
            self.schema = self._rows.collect_schema()
            expanded, size = 8 * len(self.schema) * self.height, path.stat().st_size
        except (pl.exceptions.PolarsError, OSError) as error:
            what = f"cannot be read as Parquet: {first_line(error)}"
            remedy = "copy it again from its origin; if it is CSV, rename it to end in .csv"
            raise UserError(Fault(what, where, remedy=remedy)) from error
        if expanded > max(EXPANDED, EXPANDED_TIMES * size):
            what = f"expands from {size:,} bytes to about {expanded / 2**30:,.0f} GiB"
            raise UserError(Fault(what, where, remedy="split it into several files, or save it as CSV"))
