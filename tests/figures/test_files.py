"""The files of figures."""

import json
from pathlib import Path

import altair as alt
import pytest

from mlplab.figures import is_drawn
from mlplab.figures.files import read_figures, write_figures
from mlplab.figures.style import rows_of


def chart(value: float) -> alt.Chart:
    return alt.Chart(rows_of([{"a": value}])).mark_point().encode(x="a:Q")


def test_a_figure_is_an_image_and_a_specification(tmp_path: Path) -> None:
    images = write_figures(tmp_path, {"one": chart(1), "two": chart(2)})
    for name, png in images.items():
        assert (tmp_path / f"figures/{name}.png").read_bytes() == png
        assert png.startswith(b"\x89PNG")
    assert read_figures(tmp_path)["two"]["data"]["values"] == [{"a": 2}]
    bad = alt.Chart(rows_of([])).mark_point().encode(x="a")  # no type
    with pytest.raises(TypeError):
        write_figures(tmp_path, {"three": chart(3), "bad": bad})
    assert set(read_figures(tmp_path)) == {"one", "two"}


def test_figures_replace_those_of_their_names(tmp_path: Path) -> None:
    write_figures(tmp_path, {"importance": chart(1)})
    assert not is_drawn(tmp_path)
    write_figures(tmp_path, {"one": chart(1)})
    write_figures(tmp_path, {"one": chart(3)})
    assert is_drawn(tmp_path)
    assert read_figures(tmp_path)["one"]["data"]["values"] == [{"a": 3}]
    assert set(read_figures(tmp_path)) == {"importance", "one"}


def test_damaged_specifications_are_left_out(tmp_path: Path) -> None:
    write_figures(tmp_path, {"one": chart(1)})
    (tmp_path / "figures/torn.vl.json").write_text(json.dumps({"mark": "point"})[:-3])
    (tmp_path / "figures/list.vl.json").write_text("[]")
    assert list(read_figures(tmp_path)) == ["one"]
    assert read_figures(tmp_path / "nowhere") == {}
