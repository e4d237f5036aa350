"""Categories that differ only by spaces or case, and may be the same."""

import polars as pl

from mlplab.errors import shortened

MAX_SHOWN = 3
"""Largest number of groups of labels in a note."""


def similar_labels_note(labels: pl.Series) -> str:
    """A note about similar labels; empty if there are none."""
    label = pl.col("label")
    normalized = label.str.to_lowercase().str.replace_all(r"\s+", " ").alias("normalized")
    groups = labels.rename("label").to_frame().sort("label").group_by(normalized, maintain_order=True).all()
    similar = groups.filter(label.list.len() > 1)
    if similar.is_empty():
        return ""
    shown = [", ".join(map(shortened, group)) for group in similar["label"].head(MAX_SHOWN)]
    more = f"; and {similar.height - MAX_SHOWN:,} more such groups" if similar.height > MAX_SHOWN else ""
    return f"categories that differ only by spaces or case: {'; '.join(shown)}{more}"
