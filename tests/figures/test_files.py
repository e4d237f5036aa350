"""The files of figures."""

from pathlib import Path

import altair as alt
import pytest

from mlplab.figures import is_drawn
from mlplab.figures.files import read_figures, write_figures
from mlplab.figures.style import rows_of


def chart(value: float) -> alt.Chart:
    return alt.Chart(rows_of([{"a": value}])).mark_point().encode(x="a:Q")


def test_a_figure_is_an_image_and_a_specification(tmp_path: Path) -> None:
    assert read_figures(tmp_path) == {}
    write_figures(tmp_path, {"importance": chart(1)})
    assert not is_drawn(tmp_path)
    images = write_figures(tmp_path, {"one": chart(1), "two": chart(2)})
    assert is_drawn(tmp_path)
    for name, png in images.items():
        assert (tmp_path / f"figures/{name}.png").read_bytes() == png
        assert png.startswith(b"\x89PNG")
    bad = alt.Chart(rows_of([])).mark_point().encode(x="a")  # no type
    with pytest.raises(TypeError):
        write_figures(tmp_path, {"three": chart(3), "bad": bad})
    write_figures(tmp_path, {"two": chart(4)})
    (tmp_path / "figures/torn.vl.json").write_text('{"mark": "poi')
    (tmp_path / "figures/list.vl.json").write_text("[]")
    found = {name: figure["data"]["values"][0]["a"] for name, figure in read_figures(tmp_path).items()}
    assert found == {"importance": 1, "one": 1, "two": 4}
