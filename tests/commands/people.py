"""A table of all kinds of columns."""

import numpy as np
import polars as pl


def people(seed: int = 0, rows: int = 240) -> pl.DataFrame:
    """Numbers, few texts and many, dates and truth values, some with gaps; who has bought, and the price."""
    draw = np.random.default_rng(seed)
    size, colour = draw.normal(size=rows), np.array(["red", "green", "blue"])[draw.integers(0, 3, rows)]
    chance = 1 / (1 + np.exp(-3 * size - 2 * (colour == "red")))
    columns = {
        "size": size,
        "colour": colour,
        "day": np.datetime64("2024-01-01") + draw.integers(0, 300, rows).astype("timedelta64[D]"),
        "member": draw.integers(0, 2, rows).astype(bool),
        "bought": np.where(draw.random(rows) < chance, "yes", "no"),
    }
    gaps = [pl.when(pl.Series(draw.random(rows) > 0.1)).then(name).alias(name) for name in ("size", "colour")]
    shop = draw.integers(0, 20, rows)
    return pl.DataFrame(columns).with_columns(
        *gaps,
        shop=pl.lit("shop ") + pl.Series(shop).cast(pl.String),
        price=pl.Series(size + 0.1 * shop + 0.1 * draw.normal(size=rows)),
        weight=pl.Series(draw.integers(1, 4, rows)),
    )
