"""The table of handwritten digits that ships with scikit-learn: see `digits.md`."""

import polars as pl


def digits() -> pl.DataFrame:
    """Reads 1,797 images, a column per pixel, with the digit as `target`."""
    from sklearn.datasets import load_digits  # imported here since it takes a second

    images = load_digits()
    return pl.DataFrame(images.data, schema=images.feature_names).with_columns(target=images.target)
