"""What may be wrong with a column that is read all the same: told in a note, not refused."""

from collections.abc import Iterable, Mapping

import polars as pl

from mlplab.data.infer.bad_cells import typed_na_values
from mlplab.errors import listed, shortened

SHOWN = 3
"""Groups of labels that are named."""


def sentinel_note(sentinels: Mapping[str, int], na_values: Iterable[str], *, drop_rows: bool) -> str:
    """That numbers may stand for missing values.

    Args:
        sentinels: how many cells hold each.
        na_values: all that should be declared, in this column and in others: one key holds for all.
        drop_rows: rows without a value must be left out.
    """
    cells = listed(f"{text} in {count:,} cells" for text, count in sentinels.items())
    typed = typed_na_values(na_values) + " data.missing_target=drop" * drop_rows
    return f"{cells} may stand for a missing value; if so: {typed} (in all columns)"


def label_note(labels: pl.Series) -> str:
    """That labels differ only by spaces or case, if some do."""
    frame = labels.rename("label").to_frame()
    alike = pl.col("label").str.to_lowercase().str.replace_all(r"\s+", " ").alias("alike")
    groups = (
        frame.sort("label").group_by(alike, maintain_order=True).all().filter(pl.col("label").list.len() > 1)
    )
    if groups.is_empty():
        return ""
    named = [", ".join(map(shortened, group)) for group in groups["label"].head(SHOWN)]
    more = f"; and {groups.height - SHOWN:,} more such groups" if groups.height > SHOWN else ""
    return f"categories that differ only by spaces or case: {'; '.join(named)}{more}"
