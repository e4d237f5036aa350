"""A run alone, step by step, and in a stack, in blocks: the same bits, whatever the configuration."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
from contracts import assert_close
from support import resolved, train_into

from mlplab.config.model import Activation
from mlplab.data.cache import DataCache
from mlplab.models import linear_models
from mlplab.runs import checkpoint
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.resume import saved_state
from mlplab.sweeps.plan import stack_key
from mlplab.training import step_loop
from mlplab.training.stack_state import StackState

pytestmark = pytest.mark.usefixtures("full_speed")

ROWS = 150


@pytest.fixture(autouse=True)
def small_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every second configuration, only one member fits into the cache, and linear models are exact."""
    if "number" in request.fixturenames and request.getfixturevalue("number") % 2:
        monkeypatch.setattr(step_loop, "CACHE_BYTES", 1)
        monkeypatch.setattr(step_loop, "TOGETHER", 3)
        monkeypatch.setattr(linear_models, "EXACT", 10)  # so that networks learn what it leaves over


@pytest.fixture(autouse=True)
def tables(here: Path) -> None:
    """A table of one column, and tables of all kinds of columns, with missing values and row weights."""
    source = np.random.default_rng(0)
    x = source.normal(size=(ROWS, 3)) * [1, 100, 1e-3] + [0, 5000, 0]
    y = np.sin(x[:, 0]) + x[:, 1] / 100 + 0.3 * source.normal(size=ROWS)
    pl.DataFrame({"x": x[:, 0], "y": y}).write_csv(here / "one.csv")
    columns = {
        **{f"x{column}": values for column, values in enumerate(x.T)},
        "few": np.array(["p", "q", "r"])[source.integers(0, 3, ROWS)],
        "many": [f"m{each}" for each in source.integers(0, 30, ROWS)],
        "group": [f"g{each}" for each in source.integers(0, 40, ROWS)],
        "part": np.array(["s", "t"])[source.integers(0, 2, ROWS)],
        "day": np.datetime64("2024-01-01") + source.integers(0, 90, ROWS).astype("timedelta64[D]"),
        "w": source.integers(0, 3, ROWS),
        "y": np.exp(y / 100),
        "z": x[:, 2] * 1e3 + source.normal(size=ROWS),
    }
    row, frame = pl.int_range(pl.len()), pl.DataFrame(columns)
    frame = frame.with_columns(x1=pl.when(row % 7 > 0).then("x1"), few=pl.when(row % 11 > 0).then("few"))
    frame.write_csv("all.csv")
    classes = {
        "two": np.where(y > np.median(y), "yes", "no"),
        "three": np.array(["low", "middle", "high"])[np.digitize(y, np.quantile(y, [0.2, 0.6]))],
    }
    for name, target in classes.items():
        frame.with_columns(y=target, z=None).write_csv(f"{name}.csv")


def draw(number: int, *, classes: bool = False) -> list[list[str]]:
    """The overrides of three runs that may share a stack; their target is numbers or classes.

    With every third number, they are ensembles; with every fourth, networks with heads.
    """
    source = random.Random(number)

    def choose(*values: str) -> str:
        return source.choice(values)

    table = choose("two.csv", "three.csv") if classes else choose("one.csv", *["all.csv"] * 2, "synthetic")
    if classes:
        own_weights = "{yes: 3}" if table == "two.csv" else "{low: 0.5, high: 2}"
        shared = ["data=csv", f"data.path={table}", "data.target=y"]
        shared.append(f"data.class_weights={choose('none', 'balanced', own_weights)}")
        shared += ["data.weight=w"] if source.random() < 0.5 else []
        shared.append(f"monitor={choose('auto', 'val/accuracy', 'val/auroc', 'val/loss')}")
    elif table == "synthetic":
        features = source.choice([1, 2, 8])
        function = "sine" if features == 1 else "product"
        shared = ["data=synthetic", f"data.function={function}", f"data.features={features}"]
        shared += [f"data.rows={source.choice([40, 71, ROWS, 2 * ROWS])}", "data.noise=1"]
    else:
        shared = ["data=csv", f"data.path={table}"]
        shared.append(f"data.target={'[y,z]' if table == 'all.csv' and source.random() < 0.3 else 'y'}")
        shared += ["data.weight=w"] if table == "all.csv" and source.random() < 0.5 else []
    norm = choose("none", "none", "layer")
    widths = [source.choice([1, 2, 3, 5, 8, 33, 64]) for _ in range(source.choice([0, 1, 2, 3]))]
    bins = ("model.piecewise_linear_bins=2", "model.piecewise_linear_bins=9")
    optimizer = choose("adamw", "adam", "sgd")
    ensemble = 3 if number % 3 == 2 else 1
    shared += [
        f"data.batch_size={choose('1', '5', '16', '23', '100', 'null')}",
        f"model.hidden=[{','.join(map(str, widths))}]",
        f"model.norm={norm}",
        f"model/preprocessing={choose('standard', 'robust_clip', 'quantile', 'none')}",
        f"model.preprocessing.target={choose('standard', 'none')}",
        "loss=cross_entropy" if classes else f"loss={choose('mse', 'mae', 'huber')}",
        f"model.preprocessing.one_hot_max_categories={choose('2', '16')}",
        f"optimizer={optimizer}",
        f"trainer.precision={choose('32', '32', '64')}",
        f"trainer.gradient_clip_val={choose('null', '0.5')}",
        f"trainer.max_epochs={choose('1', '3')}",
        choose("model.periodic_projection=0", "model.periodic_projection=3", *bins),
        f"model.piecewise_linear_width={choose('1', '6')}",
        f"ensemble={ensemble}",
        f"model.linear_path={choose('false', 'true')}",
        f"model.initial_weights={choose('uniform', 'data')}",
        *(["model.heads=3", "model.initial_weights=uniform"] if number % 4 == 1 and widths else []),
        *("logger=[]", "baselines=[]"),
    ]
    switches = ("input_scale", "parametric_activation", "preprocessing.clip_predictions")
    shared += [f"model.{key}=true" for key in random.Random(-number).sample(switches, number % 4)]
    activation, other = (choose(*get_args(Activation)) for _ in range(2))
    others = f"[{activation},{other}]" if ensemble > 1 else other
    by_fold = source.random() < 0.5
    if by_fold:
        shared += ["data/split=kfold", "data.split.folds=4"]
        if table in ("all.csv", "two.csv", "three.csv"):
            shared.append(choose("data.split.group=group", "data.split.stratify=null", "data.split.seed=3"))
    members = []
    for member in range(3):
        own = [f"seed={source.randrange(100)}", f"optimizer.lr={choose('1e-2', '1e-3')}"]
        own.append(f"model.activation={activation if member != 1 else others}")
        own.append(f"model.dropout={choose('0', '0.2')}" if widths else "model.dropout=0")
        own.append(f"scheduler={choose('cosine', 'constant', 'step', 'coslog')}")
        own.append(f"scheduler.regularization={choose('constant', 'flat_cos')}")
        own.append(f"optimizer.lr_factors.biases={choose('1', '0.1')}")
        own.append(f"optimizer.weight_decay_factors.numeric_embeddings={choose('1', '0')}")
        own += [f"optimizer.lr_by_fan_in={choose('false', 'true')}"] if optimizer != "sgd" else []
        own.append(f"callbacks.early_stopping.patience={choose('null', '1')}")
        own += [f"loss.label_smoothing={choose('0', '0.1')}"] if classes else []
        own += [f"threshold={('auto', 0.3, 0.5)[member]}"] if table == "two.csv" else []
        own.append(f"data.split.fold={member}" if by_fold else f"data.split.seed={choose('0', '1')}")
        members.append([*shared, *own])
    return members


def assert_alone_as_in_a_stack(members: Sequence[Sequence[str]], block: str = "auto") -> None:
    stack = train_into(Path("stack"), *([*member, f"trainer.block={block}"] for member in members))
    for index, member in enumerate(members):
        (alone,) = train_into(Path(f"alone{index}"), [*member, "trainer.block=1"])
        folders = Path(f"alone{index}/0"), Path(f"stack/{index}")
        which = f"member {index} of {members}"
        assert alone | {"seconds": 0} == stack[index] | {"seconds": 0}, which
        if alone["status"] == "done":
            one, other = ((folder / "test_predictions.csv").read_text() for folder in folders)
            assert one == other, which
        written = [sorted(path.name for path in folder.glob("checkpoints/*.ckpt")) for folder in folders]
        assert written[0] == written[1], which
        for name in written[0]:  # none if it diverged
            one, other = (checkpoint.load(folder / "checkpoints" / name)["state"] for folder in folders)
            assert_close(one, other, 0)


def test_members_have_as_many_quantiles_as_their_own_rows_give() -> None:
    run = ["data=synthetic", "data.rows=1000", "data.batch_size=400", "model/preprocessing=quantile"]
    run += ["model.hidden=[8]", "trainer.max_epochs=2", "logger=[]", "baselines=[]", "scheduler=constant"]
    members = [[*run, f"data.split.val={val}"] for val in (0.1, 0.15, 0.4)]
    assert_alone_as_in_a_stack(members)
    (warm,) = train_into(Path("warm"), [*members[2], "init_from=stack/0", "trainer.max_epochs=1"])
    assert warm["status"] == "done"
    longer = [resolved(*member, "trainer.max_epochs=4") for member in members]
    kept = [saved_state(Path(f"stack/{i}"), run, DataCache().data(run)) for i, run in enumerate(longer)]
    together = StackState.join([state for state in kept if state])
    assert together.parts["network"]["preprocessing.scaling.last"][:, 0, 0].tolist() == [24, 22, 14]


def test_tables_with_the_same_columns_share_a_stack() -> None:
    frame = pl.concat([pl.read_csv("all.csv").with_columns(w=pl.col("w") + 1)] * 3)[:333]
    run = ["data=csv", "data.target=[y,z]", "data.weight=w", "data.batch_size=32", "model.hidden=[8]"]
    run += ["trainer.max_epochs=2", "ensemble=2", "logger=[]", "baselines=[]"]
    members = []
    for number, rows in enumerate((frame[:250], frame[60:].with_columns(pl.col("x1") + 1e6), frame[90:330])):
        rows.write_csv(f"{number}.csv")
        members.append([*run, f"data.path={number}.csv", f"seed={number}"])
    assert_alone_as_in_a_stack(members)


FIRST = [(1, False), (2, False), (5, True)]
MORE = {(number, classes) for number in range(120) for classes in (False, True)} - {*FIRST}


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize(
    ("number", "classes"), [*FIRST, *(pytest.param(*each, marks=pytest.mark.slow) for each in sorted(MORE))]
)
def test_any_configuration(number: int, classes: bool) -> None:
    """Of those that may share a stack with the first: folds of groups may need more or fewer batches."""
    members, cache = draw(number, classes=classes), DataCache()
    keys = [stack_key(PlannedRun(resolved(*each, cache=cache), Path("run")), cache) for each in members]
    together = [each for each, key in zip(members, keys, strict=True) if key == keys[0]]
    assert_alone_as_in_a_stack(together, ("auto", "2", "7")[number % 3])
