"""Spaces of searches: Hydra's syntax as Optuna's distributions, and back."""

import pytest
from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mlplab.cli.overrides import read_overrides
from mlplab.config import Sweep
from mlplab.errors import UserError
from mlplab.sweeps.grid import lines_of
from mlplab.sweeps.search.space import Space, is_search

SETTINGS = Sweep.model_validate(
    {"trials": "auto", "minutes": None, "batch": 16, "sampler": "tpe", "pruning": "none"}
    | {"ensemble": None, "space": {}}
)
LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def parsed(*overrides: str) -> list[Override]:
    """Overrides of a search."""
    return read_overrides(overrides, multirun=True)


CONTINUOUS, WHOLE, CHOICE = FloatDistribution, IntDistribution, CategoricalDistribution


@pytest.mark.parametrize(
    ("key", "text", "distribution"),
    [
        ("optimizer.lr", "tag(log,interval(1e-4,1e-1))", CONTINUOUS(1e-4, 0.1, log=True)),
        ("model.dropout", "interval(0,0.5)", CONTINUOUS(0, 0.5)),
        ("model.width", "tag(log,int(interval(16,256)))", WHOLE(16, 256, log=True)),
        ("model.dropout", "range(0,0.5,0.25)", CONTINUOUS(0, 0.25, step=0.25)),
        ("model.dropout", "range(0.1,1,0.3)", CONTINUOUS(0.1, 1.0, step=0.3)),
        ("model.width", "range(0,17,8)", WHOLE(0, 16, step=8)),
        ("model.width", "range(1,100000000000)", WHOLE(1, 99_999_999_999)),
        ("model.hidden", "[64,64],[8]", CHOICE(["[64,64]", "[8]"])),
        ("model/preprocessing", "choice(standard,none)", CHOICE(["standard", "none"])),
        ("model.residual", "true,false", CHOICE(["True", "False"])),
    ],
)
def test_values_in_the_syntax_of_hydra(key: str, text: str, distribution: object) -> None:
    space = Space(parsed(f"+{key}={text}", "seed=3"), {})
    assert {name: each.distribution for name, each in space.dimensions.items()} == {key: distribution}
    assert space.dimensions[key].override.get_value_string() == text
    value = getattr(distribution, "choices", [0.1 / 3])[0]
    assert lines_of(space.overrides({key: value})) == ["seed=3", f"+{key}={value}"]


def test_the_command_line_replaces_and_removes_keys_of_the_configuration() -> None:
    configured = {
        "optimizer.lr": "interval(0.1,0.2)",
        "model.dropout": "choice(0.0,0.1)",
        "model.norm": "none,layer",
    }
    space = Space(parsed(LR, "model.dropout=0.3"), configured)
    texts = {key: each.override.get_value_string() for key, each in space.dimensions.items()}
    assert texts == {"model.norm": "none,layer", "optimizer.lr": "tag(log,interval(1e-4,1e-1))"}
    assert lines_of(space.fixed) == ["model.dropout=0.3"]


@pytest.mark.parametrize(
    ("line", "value", "expected"),
    [
        (LR, 0.005, 0.005),
        (LR, 5, None),
        ("model.hidden=auto,[8]", "auto", "auto"),
        ("model.hidden=auto,[8]", [8], "[8]"),
        ("model.hidden=auto,[8]", [9], None),
        ("model.dropout=0,0.1", 0.0, "0"),
        ("model.periodic_features=range(0,17,8)", 8, 8),
        ("model.periodic_features=range(0,17,8)", 9, None),
        ("model.dropout=range(0,0.5,0.1)", 0.3, 0.3),
        ("data.batch_size=null,16,32", None, "null"),
    ],
)
def test_a_value_of_the_configuration_in_the_space(line: str, value: object, expected: object) -> None:
    (dimension,) = Space(parsed(line), {}).dimensions.values()
    assert dimension.matching_value(value) == expected


@pytest.mark.parametrize(
    ("overrides", "searches"),
    [
        (["optimizer.lr=0.1,0.2", "seed=range(4)"], False),
        (["optimizer.lr=interval(0.1,0.2)"], True),
        (["optimizer.lr=0.1,0.2", "sweep.trials=4"], True),
        (["sweep=mlp"], True),
        (["name=sweep", "sweep.ensemble=3"], False),
    ],
)
def test_what_asks_for_a_search(overrides: list[str], searches: bool) -> None:
    assert is_search(parsed(*overrides), SETTINGS) == searches
    of_a_file = SETTINGS.model_copy(update={"minutes": 3.0})
    assert is_search(parsed(*overrides), of_a_file)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer.lr=interval(0.1,0.01)", r"`low <= high` must hold, .*low=0.1, high=0.01\) \(found"),
        ("optimizer.lr=tag(log,interval(0,1))", "`low > 0` must hold for `log=True`"),
        ("optimizer.lr=interval(0.1,0.1)", "has one value, so there is nothing to search"),
        ("optimizer.lr=range(0,0)", "has no values"),
        ("optimizer.lr=tag(log,range(0.1,0.9,0.1))", r"tag\(…\) has no meaning here"),
        ("seed=range(4)", "cannot be searched"),
        ("seed=1", "there is no key to search"),
    ],
)
def test_spaces_that_are_refused(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Space(parsed(line), {})
    with pytest.raises(UserError, match="has one value"):
        Space([], {"optimizer.lr": "0.1"})
