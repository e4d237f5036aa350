"""What replaces `auto` in a run that starts from another one."""

from pathlib import Path

import pytest
from support import SMALL, config, train_into

from mlplab.config import Mlp
from mlplab.data.cache import DataCache
from mlplab.data.defaults import BINS, HIDDEN
from mlplab.runs.resolve import resolved

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
