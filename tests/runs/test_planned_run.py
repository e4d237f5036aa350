from collections.abc import Sequence
from pathlib import Path

import pytest
from support import SMALL, config, train_into

from mlplab.data.cache import DataCache
from mlplab.data.defaults import BINS, HIDDEN
from mlplab.errors import UserError
from mlplab.runs.planned_run import resolved
from mlplab.runs.read_folder import read_config
from mlplab.runs.trained.trained_run import TrainedRun

pytestmark = pytest.mark.usefixtures("full_speed")


def model(*overrides: str, folder: Path | None = None, alone: bool = False) -> dict[str, object]:
    run = resolved(config("data=synthetic", "data.rows=40000", *overrides), DataCache(), folder, alone=alone)
    return dict(run.plain()["model"])


def test_a_warm_start_keeps_the_architecture(tmp_path: Path) -> None:
    several = ("model.activation=[tanh,relu,elu]", "ensemble=3")
    train_into(tmp_path, (*SMALL, "model.piecewise_linear_bins=3", *several))
    source = f"init_from={tmp_path / '0'}"
    for words, folder, expected in (
        ([], None, (HIDDEN, BINS)),
        ([source], None, ([8, 8], 3)),
        ([source, "model.hidden=[5]"], None, ([5], 3)),
        (["init_from=gone"], tmp_path / "0", ([8, 8], 3)),  # started before
        (["init_from=gone"], None, (HIDDEN, BINS)),  # reported later
        ([f"init_from={tmp_path}"], None, (HIDDEN, BINS)),
    ):
        found = model(*words, folder=folder)
        assert (found["hidden"], found["piecewise_linear_bins"]) == expected
    for ensemble, activation in (("auto", "tanh"), ("1", "tanh"), ("2", ["tanh", "relu"])):
        assert model(source, f"ensemble={ensemble}", alone=True)["activation"] == activation


CITIES = ["Bonn", "Kiel", "Trier", "Ulm"]


def of_cities(folder: Path, cities: Sequence[str], *overrides: str) -> tuple[str, ...]:
    rows = [f"{city},{row % 7},{row % 5}" for row, city in enumerate([*cities] * 15)]
    path = folder / f"{''.join(cities)}.csv"
    path.write_text("\n".join(["city,x,y", *rows]))
    table = ("data=csv", f"data.path={path}", "data.target=y")
    return (*table, *SMALL[2:-1], "trainer.max_epochs=1", "name=r", *overrides)


def test_a_warm_start_keeps_the_categories(tmp_path: Path) -> None:
    train_into(tmp_path, of_cities(tmp_path, CITIES))
    warm, source = tmp_path / "warm", f"init_from={tmp_path / '0'}"
    words = of_cities(tmp_path, ["Ulm", "Kiel"], source)
    run = resolved(config(*words), cache := DataCache())
    table = cache.data(run).table
    assert table.schema.inputs[0].categories == (*CITIES,)
    assert table.x[:2, 0].tolist() == [3, 1]
    with pytest.raises(UserError, match=r"different columns, categories, .*: city\n"):
        train_into(warm, of_cities(tmp_path, ["Ulm", "Mainz"], source))
    train_into(warm, words)
    (tmp_path / "0").rename(tmp_path / "moved")
    again = resolved(config(*words), DataCache(), warm / "0")
    assert again.plain() == read_config(warm / "0")
    DataCache().data(again).check_unchanged(TrainedRun.read(warm / "0").table, "")
