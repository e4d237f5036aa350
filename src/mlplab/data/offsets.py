"""Offsets of columns whose numbers are far from 0: what is subtracted before they become float32."""

import numpy as np
from jaxtyping import Float, Float64

from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.table import Table

# How many spreads of a column its median is from 0 before the column has an offset. float32 keeps 16 million
# steps between 0 and a number, so a spread has at least 32,000 of them.
FAR = 500

MOST_VALUES, MOST_ROWS = 2**22, 4096  # that decide; of wide tables, fewer rows

FEWEST_ROWS = 100


def offset_of(values: Float64[np.ndarray, " some"]) -> float:
    """The offset of a column with such numbers; NaN and infinite ones do not count.

    It is 0, or the median, rounded so coarsely that other rows of the same column hardly ever give another.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    spread = high - low or np.ptp(values).item()
    if abs(middle) <= FAR * spread or spread == 0:
        return middle if spread == 0 else 0.0
    step = 16.0 ** np.ceil(np.log(4 * spread) / np.log(16))
    return float(np.round(middle / step) * step)


def offsets_of(table: Table, rows: Rows) -> dict[str, float]:
    """The offsets of a table's columns by these rows of it, without those that are 0."""
    schema, most = table.schema, max(FEWEST_ROWS, MOST_VALUES // table.x.shape[1])
    x: Float[np.ndarray, "some feature"] = table.x[sample_rows(rows, min(MOST_ROWS, most))]
    offsets = dict[str, float]()
    for column, features in zip(schema.inputs, schema.feature_slices, strict=True):
        if column.has_offset:
            offsets[column.name] = offset_of(x[:, features.start].astype(np.float64) + column.offset)
    return {name: offset for name, offset in offsets.items() if offset}
