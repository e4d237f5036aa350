"""Nested keywords as overrides, which Hydra's parser reads as they were meant."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from support import config

from mlplab.api.keywords import arguments_as_overrides, choices, overrides_from
from mlplab.cli.overrides import check_overrides
from mlplab.errors import UserError


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"seed": 3, "threads": 2}, ["++seed=3", "++threads=2"]),
        ({"model": "linear"}, ["model=linear"]),
        (
            {"model": {"name": "linear", "preprocessing": "quantile"}},
            ["model=linear", "model/preprocessing=quantile"],
        ),
        ({"optimizer": {"name": "sgd", "lr": 1e-3}}, ["optimizer=sgd", "++optimizer.lr=0.001"]),
        ({"data": {"split": {"name": "kfold", "fold": 2}}}, ["data/split=kfold", "++data.split.fold=2"]),
        ({"logger": ["csv", "tensorboard"]}, ["logger=[csv,tensorboard]"]),
        ({"data": {"class_weights": {0: 1, "a b": 5}}}, [r"++data.class_weights={0:1,a\ b:5}"]),
        ({"model": {"hidden": (64, 32)}, "test": False}, ["++model.hidden=[64,32]", "++test=false"]),
        (
            {"data": {"columns": {"my zip": "categorical"}}},
            ["~data.columns", "+data.columns=[['my zip','categorical']]"],
        ),
    ],
)
def test_nested_keywords_are_overrides(keys: dict[str, Any], words: list[str]) -> None:
    assert overrides_from(keys) == words


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(min_size=1),
    lambda values: st.lists(values, max_size=3),
    max_leaves=5,
)


@given(VALUES)
def test_any_value_is_read_as_it_is(value: object) -> None:
    [word] = overrides_from({"a": {"b": value}})
    [parsed] = OverridesParser.create().parse_overrides([word])
    assert (parsed.key_or_group, parsed.value()) == ("a.b", value)


def test_columns_with_any_name_keep_it() -> None:
    columns = {"a b": "categorical", "x.y=1": ["low", "high"], "ü'": "drop"}
    words = overrides_from({"data": {"name": "frame", "target": "y", "columns": columns}})
    check_overrides(words, multirun=False)
    assert config(*words).data.columns == columns  # type: ignore[union-attr]


def test_overrides_are_written_as_on_a_command_line() -> None:
    words = overrides_from({}, ["data.path=t.csv", "data.target=y", "data.columns.x=drop"])
    assert config(*words).data.columns == {"x": "drop"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("values", "message"),
    [(0.01, r"needs a list of values \(found 0.01\)"), ("relu", r"write {'a.b': \['relu'\]}")],
)
def test_a_grid_needs_lists(values: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choices({"a.b": values})


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.arange(60.0), ["target_"]),
        (np.ones((60, 2)), ["target_0", "target_1"]),
        (pl.Series("y", range(60)), ["y"]),
        (pl.DataFrame({"y": range(60), "z": range(60)}), ["y", "z"]),
        (["a", "b", "c"] * 20, ["target_"]),
    ],
    ids=["array", "matrix", "series", "frame", "list of text"],
)
def test_values_of_targets_are_columns_with_names_of_their_own(values: object, names: list[str]) -> None:
    frame = pl.DataFrame({"x": range(60), "target": range(60)})
    with_targets, words = arguments_as_overrides(frame, values, {})
    assert with_targets is not None
    assert with_targets.columns == [*frame.columns, *names]
    assert f"++data.target=[{','.join(names)}]" in words
