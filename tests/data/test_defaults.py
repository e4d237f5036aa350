"""What `auto` stands for, by the task and the size of a table."""

from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from support import config, table_of

from mlplab import config as sections
from mlplab.config.dotted_keys import flat
from mlplab.data import defaults
from mlplab.data.defaults import resolve_auto, typical_train_rows
from mlplab.data.splits.make_split import make_split
from mlplab.data.splits.split import Split
from mlplab.data.table import Table
from mlplab.errors import UserError
from mlplab.training.run import member_configs

Target = tuple[object, ...]
NUMBERS, WORDS = (0.5, 1.5, -2.0), ("no", "yes")


@cache
def table(target: Target, rows: int = 60, numbers: int = 1) -> Table:
    columns = {f"x{index}": np.arange(rows) / 7 + index for index in range(numbers)}
    return table_of(pl.DataFrame({**columns, "y": [target[row % len(target)] for row in range(rows)]}))


def split(train: int) -> Split:
    return Split(*[np.arange(train)] * 3)


BY_FILE = ("data/split=file", "data.split.path=split.txt")  # whose number of training rows counts

composed = cache(config)


def resolved(*overrides: str, of: Table, train: int = 40) -> sections.ResolvedConfig:
    return resolve_auto(composed(*BY_FILE, *overrides), of, split(train))


def test_the_task_decides_loss_and_monitor() -> None:
    for target, loss, monitor in ((NUMBERS, "mse", "val/mae"), (WORDS, "cross_entropy", "val/log_loss")):
        run = resolved(of=table(target))
        assert (run.loss.name, run.monitor) == (loss, monitor)


@pytest.mark.parametrize(
    "words", ["optimizer=adamw", "model.hidden=[] optimizer=adam", "model=linear optimizer=sgd"]
)
def test_no_auto_is_left(words: str) -> None:
    for target in (NUMBERS, WORDS):
        run = resolved(*words.split(), of=table(target))
        left = {key for key, value in flat(run.plain()) if value == "auto"}
        later = {"task", "trainer.accelerator", "trainer.block", "callbacks.early_stopping.patience"}
        assert left == later  # the schema, the machine and training decide
        assert resolve_auto(run, table(NUMBERS), split(10**6)) == run


def test_all_keys_that_may_be_auto_are_known_to_summaries() -> None:
    """Otherwise a run that was refused before its table was read would seem to vary in them."""
    unread = {key for key, value in flat(config(*BY_FILE).plain()) if value == "auto"}
    read = {key for key, value in flat(resolved(of=table(NUMBERS)).plain()) if value == "auto"}
    assert unread - read <= sections.MAY_BE_AUTO


def test_each_size_has_its_numbers_and_larger_tables_larger_batches_and_fewer_epochs() -> None:
    for (most, *smaller), (_, *larger) in pairwise(defaults.SIZES_BY_ROWS):
        assert smaller[0] <= larger[0]
        assert smaller[1] >= larger[1]
        for rows, size in ((int(most), smaller), (int(most) + 1, larger)):
            found = resolved(of=table(NUMBERS), train=rows)
            assert [found.data.batch_size, found.trainer.max_epochs] == size


def test_the_activation_for_numbers_is_smooth_for_few_rows() -> None:
    rows = defaults.SMOOTH_ROWS
    most = {1: rows, 2: rows * 5 // 8}  # of train and val together, two networks train on 4 / 5
    for target, members, smooth in ((NUMBERS, 1, "silu"), (NUMBERS, 2, ["silu", "relu"]), (WORDS, 2, "relu")):
        for more, expected in ((0, smooth), (1, "relu")):
            found = resolved(f"ensemble={members}", of=table(target), train=most[members] + more)
            assert found.model.activation == expected
    assert resolved("ensemble=2", "model.hidden=[]", of=table(NUMBERS)).model.activation == "silu"


def test_each_part_of_an_ensemble_has_a_network() -> None:
    for key in ("model.activation=[tanh,elu]", "model.dropout=[0.1,0.2]", "optimizer.weight_decay=[0.0,1.0]"):
        assert resolved(key, of=table(NUMBERS)).ensemble == 2
        with pytest.raises(UserError, match=r"takes 2 networks or more, but ensemble=1; use ensemble=2"):
            resolved(key, "ensemble=1", of=table(NUMBERS))


def test_several_classes_are_regularised_less_than_two() -> None:
    two, several = (resolved(of=table(target), train=1000) for target in (WORDS, (*WORDS, "maybe")))
    for section, key in (("model", "dropout"), ("optimizer", "weight_decay")):
        less, more = (getattr(getattr(run, section), key) for run in (several, two))
        assert less == defaults.SEVERAL_CLASSES[key] < more


def test_several_classes_of_mostly_categories_have_networks_of_both_strengths() -> None:
    columns = {
        "a": ["p", "q", "r"] * 20,
        "b": ["s", "t"] * 30,
        "c": np.arange(60) / 7,
        "y": ["u", "v", "w"] * 20,
    }
    half, most = pl.DataFrame(columns).drop("a"), pl.DataFrame(columns)
    run = resolved("ensemble=4", of=table_of(most), train=1000)
    members = member_configs(run)
    strengths = [(member.model.dropout, member.optimizer.weight_decay) for member in members]
    assert strengths == [(0.3, 1.0)] * 2 + [(0.2, 0.2)] * 2
    for frame, expected in ((half, defaults.SEVERAL_CLASSES["weight_decay"]), (most, 1.0)):
        assert resolved("ensemble=1", of=table_of(frame), train=1000).optimizer.weight_decay == expected


def test_classes_with_few_rows_get_more_dropout() -> None:
    of_words, of_numbers = (
        [resolved(of=table(target), train=defaults.FEW_ROWS - few).model.dropout for few in (0, 1)]
        for target in (WORDS, NUMBERS)
    )
    assert of_words[0] < of_words[1] == defaults.FEW_ROWS_DROPOUT
    assert of_numbers[0] == of_numbers[1]


@pytest.mark.parametrize("target", [NUMBERS, WORDS])
@pytest.mark.parametrize(
    ("word", "numbers", "shape"),
    [
        ("model=mlp", 2, (defaults.BINS, 0, True)),
        ("model=mlp", 3, (0, 0, True)),  # too many
        ("model.periodic_projection=3", 1, (0, defaults.PROJECTED_FEATURES, True)),
        ("model.hidden=[]", 1, (0, 0, False)),  # a single affine layer
    ],
)
def test_numbers_are_embedded_where_there_are_hidden_layers(
    monkeypatch: pytest.MonkeyPatch, target: Target, word: str, numbers: int, shape: tuple[int, int, bool]
) -> None:
    monkeypatch.setattr(defaults, "MOST_NUMBERS", 2)
    found = resolved(word, of=table(target, numbers=numbers)).model
    assert (found.piecewise_linear_bins, found.periodic_features, found.linear_path) == shape


def test_runs_alone_are_ensembles_unless_that_takes_too_long() -> None:
    of = table(NUMBERS, numbers=4)

    def members(*overrides: str, train: int = 100, alone: bool = True) -> int | str:
        return resolve_auto(composed(*BY_FILE, *overrides), of, split(train), alone=alone).ensemble

    most = defaults.MOST_CELLS // 4
    assert members() == members(train=most) == defaults.ENSEMBLE_SIZE
    assert members(train=most + 1) == members(alone=False) == members("init_from=run") == 1
    assert members("ensemble=3", train=4 * most) == members("ensemble=3", alone=False) == 3


@pytest.mark.parametrize(
    "overrides",
    [
        ["data/split=random", "data.split.test=0.6", "data.split.seed={}"],
        ["data/split=kfold", "data.split.folds=7", "data.split.fold={}"],
    ],
)
def test_folds_and_seeds_have_the_same_typical_training_rows(overrides: list[str]) -> None:
    of, found = table(NUMBERS, rows=101), set()
    for number in range(7):
        section = config(*(each.format(number) for each in overrides)).data.split
        made = make_split(section, of)
        found.add(typical_train_rows(section, of, made))
        assert len(made.train) == pytest.approx(max(found), abs=1)
    assert len(found) == 1


def test_folds_in_time_have_the_same_defaults() -> None:
    words = ("data/split=kfold", "data.split.folds=3", "data.split.time=t")
    for fold, train in ((0, 12), (2, 40)):
        section = config(*words, f"data.split.fold={fold}").data.split
        assert typical_train_rows(section, table(NUMBERS), split(train)) == round(60 * 0.5 * 0.85)
