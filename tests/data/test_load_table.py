import polars as pl
import polars.selectors as cs
from support import config

from mlplab.data.load_table import TARGET, opened_source


def test_digits_are_images_of_pixels() -> None:
    frame = _frame("digits")
    assert frame.shape == (1797, 65)
    assert frame.columns == [*(f"pixel_{row}_{column}" for row in range(8) for column in range(8)), TARGET]
    assert frame[TARGET].unique().sort().to_list() == list(range(10))
    pixels = frame.drop(TARGET).to_numpy()
    assert (pixels.min(), pixels.max()) == (0, 16)
    assert (pixels == pixels.round()).all()


def test_penguins_have_gaps() -> None:
    frame = _frame("penguins")
    assert frame.shape == (344, 8)
    assert dict(frame[TARGET].value_counts().iter_rows()) == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    measures = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    gaps = {**dict.fromkeys(measures, 2), "sex": 11}
    assert {name: count for name, count in frame.null_count().row(0, named=True).items() if count} == gaps
    assert frame["body_mass_g"].cast(pl.Float64).mean() == 1437000 / 342


def _frame(name: str) -> pl.DataFrame:
    with opened_source(config(f"data={name}").data) as source:
        return source.rows.collect().with_columns(cs.string().replace("NA", None))
