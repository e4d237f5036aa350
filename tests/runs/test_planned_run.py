"""What replaces `auto` in a run that starts from another one."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support import SMALL, config, train_into

from mlplab.config import Mlp
from mlplab.data.cache import DataCache
from mlplab.data.defaults import BINS, HIDDEN
from mlplab.errors import UserError
from mlplab.runs.discovery import read_config
from mlplab.runs.planned_run import resolved
from mlplab.runs.trained.trained_run import TrainedRun

pytestmark = pytest.mark.usefixtures("full_speed")

LARGE = ("data=synthetic", "data.rows=40000")


def architecture(*overrides: str, folder: Path | None = None) -> tuple[object, object]:
    model = resolved(config(*LARGE, *overrides), DataCache(), folder).model
    assert isinstance(model, Mlp)
    return model.hidden, model.piecewise_linear_bins


def test_a_warm_start_keeps_the_architecture(tmp_path: Path) -> None:
    train_into(tmp_path, (*SMALL, "model.piecewise_linear_bins=3"))
    assert architecture() == (HIDDEN, BINS)
    assert architecture(f"init_from={tmp_path / '0'}") == ([8, 8], 3)
    assert architecture(f"init_from={tmp_path / '0'}", "model.hidden=[5]") == ([5], 3)
    assert architecture("init_from=gone", folder=tmp_path / "0") == ([8, 8], 3)  # started before


def test_fewer_networks_get_the_first_of_an_ensembles_activations(tmp_path: Path) -> None:
    train_into(tmp_path, (*SMALL, "model.activation=[tanh,relu,elu]", "ensemble=3"))
    for ensemble, expected in (("auto", "tanh"), ("1", "tanh"), ("2", ["tanh", "relu"])):
        overrides = [f"init_from={tmp_path / '0'}", f"ensemble={ensemble}"]
        model = resolved(config(*LARGE, *overrides), DataCache(), alone=True).model
        assert isinstance(model, Mlp)
        assert model.activation == expected


@pytest.mark.parametrize("folder", ["none", "."])
def test_a_folder_that_cannot_be_read_is_reported_later(folder: str) -> None:
    assert architecture(f"init_from={folder}") == (HIDDEN, BINS)


CITIES = ["Bonn", "Kiel", "Trier", "Ulm"]


def of_cities(folder: Path, cities: Sequence[str], *overrides: str) -> tuple[str, ...]:
    """The configuration of a run on a table of these cities, each in several rows."""
    rows = [f"{city},{row % 7},{row % 5}" for row, city in enumerate([*cities] * 15)]
    path = folder / f"{''.join(cities)}.csv"
    path.write_text("\n".join(["city,x,y", *rows]))
    table = ("data=csv", f"data.path={path}", "data.target=y")
    return (*table, *SMALL[2:-1], "trainer.max_epochs=1", "name=r", *overrides)


def test_a_warm_start_keeps_the_categories(tmp_path: Path) -> None:
    train_into(tmp_path, of_cities(tmp_path, CITIES))
    warm, source = tmp_path / "warm", f"init_from={tmp_path / '0'}"
    for fewer in (["Ulm", "Kiel"], ["Trier"]):
        words = of_cities(tmp_path, fewer, source)
        run = resolved(config(*words), cache := DataCache())
        table = cache.data(run).table
        [city, _] = table.schema.inputs
        assert city.categories == (*CITIES,)
        assert table.x[:2, 0].tolist() == [CITIES.index(name) for name in (fewer * 2)[:2]]
    with pytest.raises(UserError, match=r"different columns, categories, .*: city\n"):
        train_into(warm, of_cities(tmp_path, ["Ulm", "Mainz"], source))
    [metrics] = train_into(warm, words)
    assert metrics["status"] == "done"
    (tmp_path / "0").rename(tmp_path / "moved")
    again = resolved(config(*words), DataCache(), warm / "0")
    assert again.plain() == read_config(warm / "0")
    DataCache().data(again).check_unchanged(TrainedRun.read(warm / "0").table, "")
