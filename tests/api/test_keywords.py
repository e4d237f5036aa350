"""Keywords as overrides: values arrive as they are, and are shown as a command line would have them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlplab.api.keywords import choices, keywords_of, read_arguments, setting
from mlplab.composition.compose import compose_run
from mlplab.composition.compose_sweep import compose_sweep
from mlplab.composition.config_folders import SHIPPED
from mlplab.composition.overrides import read_overrides
from mlplab.config import TrainConfig
from mlplab.errors import UserError
from mlplab.sweeps.check_runs import ComposedRun
from mlplab.sweeps.grid import grid, lines_of


def composed(keys: dict[str, Any], *overrides: str) -> TrainConfig:
    return compose_run(read_overrides(overrides, keywords=[*keywords_of(keys)]))


NESTED = {
    "model=linear model/preprocessing=quantile": {"model": {"name": "linear", "preprocessing": "quantile"}},
    "optimizer=sgd optimizer.lr=0.001": {"optimizer": {"name": "sgd", "lr": 1e-3}},
    "data/split=kfold data.split.fold=2": {"data": {"split": {"name": "kfold", "fold": 2}}},
    "logger=[mlflow,tensorboard]": {"logger": ["mlflow", "tensorboard"]},
    "data.class_weights.0=1 data.class_weights.ab=5": {"data": {"class_weights": {0: 1, "ab": 5}}},
    "model.hidden=[64,32] test=False": {"model": {"hidden": (64, 32)}, "test": False},
    "optimizer.lr=0.1 model/preprocessing=none": {"optimizer.lr": 0.1, "model/preprocessing": "none"},
}


def test_nested_keywords_are_shown_as_overrides() -> None:
    assert {" ".join(lines_of(keywords_of(keys))): keys for keys in NESTED.values()} == NESTED


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ATOMS = st.none() | st.booleans() | st.integers() | FLOATS | st.text(min_size=1)
VALUES = st.recursive(ATOMS, lambda values: st.lists(values, max_size=3), max_leaves=5)


@settings(max_examples=20)
@given(VALUES)
def test_any_value_can_be_typed_as_it_is_shown(value: object) -> None:
    override = setting("a.b", value)
    assert override.value() == value
    [parsed] = OverridesParser.create().parse_overrides(lines_of([override]))
    assert (parsed.key_or_group, parsed.value()) == ("a.b", value)


# Texts that mean something to Hydra, OmegaConf or YAML.
ODD = ["a=b,c", "x.y", "name", "${seed}", "${", "???", "null", "true", "1e3", "[a]", "{a:b}", "~+x", "/"]
ODD += ["..", "'\\\"", "ü 'n"]


@settings(max_examples=5)
@given(st.lists(st.text(min_size=1), min_size=10, max_size=10, unique=True))
@example(ODD)
@example(ODD[::-1])
@example(ODD[3:] + ODD[:3])
def test_any_text_arrives_as_it_is(texts: list[str]) -> None:
    first, second, third, *_ = texts
    named = {"weight": second, "positive": third, "na_values": [*texts, *({name: name} for name in texts)]}
    by_name = {"columns": dict.fromkeys(texts, texts), "class_weights": dict.fromkeys(texts, 0.5)}
    _, overrides = read_arguments(first, first, {"data": named | by_name}, [])
    data = compose_run(overrides).data
    assert (data.path, data.target, data.weight, data.positive) == (first, [first], second, third)
    assert (data.columns, data.class_weights) == (by_name["columns"], by_name["class_weights"])
    assert data.na_values_of_all == texts
    assert data.na_values_by_column == {name: [name] for name in texts}


def test_any_text_arrives_as_it_is_in_a_sweep(tmp_path: Path) -> None:
    data = {"name": "frame", "columns": dict.fromkeys(ODD, "drop")}
    varying = choices({"data.target": ODD, "data.columns.a=b": [["1", "???"], "numeric"]})
    overrides = read_overrides([], multirun=True, keywords=[*keywords_of({"data": data}), *varying])
    sweep = compose_sweep(overrides, [SHIPPED], tmp_path)
    found = [
        (*run.config.data.target, run.config.data.columns)  # type: ignore[union-attr]
        for run in sweep.compose(grid(sweep.overrides))
        if isinstance(run, ComposedRun)
    ]
    kinds = [["1", "???"], "numeric"]
    assert found == [(text, data["columns"] | {"a=b": kind}) for text in ODD for kind in kinds]  # type: ignore[operator]


def test_values_of_numpy_paths_ranges_and_numbers_as_names_are_plain_values() -> None:
    values: dict[str, Any] = {"model.hidden": np.array([8, 4]), "optimizer.lr": np.float32(0.5)}
    values |= {"seed": np.int64(3), "data.batch_size": None, "init_from": Path("a/b")}
    values["loss"] = {"name": "quantile", "levels": [np.float64(0.25), 0.5]}
    values["data.class_weights"] = {0: 1, True: 2, 0.5: 3, np.int64(7): 4}
    run = composed(values)
    assert run.plain()["model"]["hidden"] == [8, 4]
    assert (run.optimizer.lr, run.seed, run.data.batch_size, run.init_from) == (0.5, 3, None, "a/b")
    assert run.quantiles == (0.25, 0.5)
    assert run.data.class_weights == {"0": 1, "true": 2, "0.5": 3, "7": 4}
    assert composed({"model": {"hidden": range(8, 10)}}).plain()["model"]["hidden"] == [8, 9]


def test_files_may_refer_to_keywords(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndata: {split: {seed: '${seed}'}}\ninit_from: <${task}>\n"
    (tmp_path / "experiment/own.yaml").write_text(text)
    keywords = [*keywords_of({"experiment": "own", "seed": 5, "task": "binary"})]
    run = compose_run(keywords, [tmp_path, SHIPPED])
    assert (run.data.split.seed, run.init_from) == (5, "<binary>")  # type: ignore[union-attr]


def test_keywords_and_overrides_go_together_and_a_grid_needs_lists() -> None:
    keys = {"data": {"columns": {"x1": "drop"}}}
    run = composed(keys, "data.path=t.csv", "data.target=y", "data.columns.a b=numeric")
    assert run.data.columns == {"x1": "drop", "a b": "numeric"}  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"data.columns.x1: is given twice"):
        composed(keys, "data.columns.x1=drop")
    with pytest.raises(UserError, match=r"needs a list of values \(found 'relu'\)|write {'a.b': \['relu'\]}"):
        choices({"a.b": "relu"})


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.ones((60, 2)), ["target_0", "target_1"]),
        (pl.Series("y", range(60)), ["y"]),
        (pl.DataFrame({"y": range(60), "z": range(60)}), ["y", "z"]),
        (["a", "b", "c"] * 20, ["target_"]),
    ],
    ids=["matrix", "series", "frame", "list of text"],
)
def test_values_of_targets_are_columns_with_names_of_their_own(values: object, names: list[str]) -> None:
    frame = pl.DataFrame({"x": range(60), "target": range(60)})
    with_targets, overrides = read_arguments(frame, values, {}, [])
    assert with_targets.columns == [*frame.columns, *names]
    assert f"data.target=[{','.join(names)}]" in lines_of(overrides)
