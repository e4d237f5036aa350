"""Every key: its type and range, what it may be in a run, and messages about wrong ones."""

import json
import pickle
from collections import defaultdict
from itertools import chain

import pytest
from commands.mistakes import message_of
from support import ROOT, Ended, assert_short_answer, config, resolved

from mlplab.composition.overrides import read_overrides
from mlplab.config import TrainConfig, parse, parse_resolved, unknown_key
from mlplab.config.allowed_classes import VARIABLE
from mlplab.errors import UserError


def test_every_option_composes_and_survives_a_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mine.Net,mine.Loss")
    needed = {
        "data/csv": ["data.path=x", "data.target=y"],
        "data/frame": ["data.target=y"],
        "data/split/file": ["data.split.path=x"],
        "data/split/group": ["data.split.group=x"],
        "data/split/time": ["data.split.time=x"],
        "model/custom": ["model._target_=mine.Net"],
        "loss/custom": ["loss._target_=mine.Loss"],
    }
    options = defaultdict[str, list[str]](list)
    for path in (ROOT / "conf").glob("*/**/*.yaml"):
        if path.parent.name != "help":
            options[path.relative_to(ROOT / "conf").parent.as_posix()].append(path.stem)
    assert {"data", "data/split", "model", "model/preprocessing", "optimizer", "experiment"} <= {*options}
    alone = [{group: option} for group in ("experiment", "model") for option in options.pop(group)]
    together = [  # of each group, another option, until all had their turn
        {group: names[number % len(names)] for group, names in options.items()}
        for number in range(max(map(len, options.values())))
    ]
    for choice in (*alone, *together):
        words = [f"{group}={f'[{name}]' if group == 'logger' else name}" for group, name in choice.items()]
        further = chain(*(needed.get(f"{group}/{name}", []) for group, name in choice.items()))
        parsed = config(*words, *further)
        assert parse(json.loads(json.dumps(parsed.plain()))) == parsed, words
        assert pickle.loads(pickle.dumps(parsed)) == parsed, words  # as processes of a sweep get them


def test_a_resolved_run_has_values_in_place_of_auto() -> None:
    run = resolved()
    assert pickle.loads(pickle.dumps(run)) == run
    values = run.plain()
    assert parse_resolved(values).plain() == values
    values["optimizer"]["lr"] = "auto"
    with pytest.raises(UserError, match=r"lr: invalid value \(found 'auto', expected the value that auto st"):
        parse_resolved(values)
    values["optimizer"]["lr"] = -1
    with pytest.raises(UserError, match=r"optimizer\.lr: .*expected greater than 0\)"):
        parse_resolved(values)
    with pytest.raises(UserError, match=r"optimizer\.lr: .*expected greater than 0, or auto\)"):
        parse(values)


def test_keys_and_values_of_others_mean_what_those_did() -> None:
    """Of earlier versions, and of Lightning."""
    run = config("trainer.accelerator=cuda", "name=a")
    values = config("trainer.accelerator=gpu", "name=a").plain()
    for key in ("lr_factors", "weight_decay_factors", "lr_by_fan_in"):
        del values["optimizer"][key]
    del values["scheduler"]["regularization"]
    assert parse(values) == run


WRONG_VALUES = """
optimizer.lr=0 | optimizer.lr: invalid value (found 0, expected greater than 0, or auto)
optimizer.lr=nan | optimizer.lr: invalid value (found nan, expected a finite number, or auto)
optimizer.betas=[0.9] | optimizer.betas: List should have at least 2 items
model.hidden=64 | model.hidden: invalid value (found 64, expected a list, or auto) | write model.hidden=[64]
model.hidden=[64,a] | model.hidden[1]: invalid value (found 'a', expected a valid integer)
model.residual=true model.hidden=[3,4] | model: residual=true needs two adjacent
model.heads=8 model.hidden=[] | model: heads=8 share the weights of hidden layers, but hidden is []
model.heads=2 model.initial_weights=data | model: initial_weights=data suits weights to one network
model.residual=1 | model.residual: invalid value (found 1, expected a valid boolean)
optimizer=sgd optimizer.momentum=0 optimizer.nesterov=true | optimizer: nesterov=true needs
data.split.val=0.5 data.split.test=0.5 | data.split: val + test = 1 leaves no rows for training
data/split=kfold data.split.fold=5 | data.split: fold=5 does not exist: the last of 5 is 4
data/split=kfold data.split.group=x data.split.time=y | takes one of group and time
data.split.stratify=c | data.split.stratify: invalid value (found 'c', expected 'auto')
model.dropout=1 | model.dropout: invalid value (found 1, expected less than or equal to 0.99
data.class_weights=balance | data.class_weights: invalid value (found 'balance'
data.class_weights={yes:-1} | data.class_weights.yes: invalid value (found -1
optimizer.lr_factors={bias:1} | optimizer.lr_factors.bias: unknown key
loss=quantile loss.levels=[0.5,0.5] | loss.levels: the level 0.5 is given twice
optimizer=sgd +optimizer.lr_by_fan_in=true | optimizer.lr_by_fan_in belongs to optimizer=adam
trainer.precision=16 | trainer.precision: invalid value (found 16, expected 32 or 64)
name=a/../../b | name: a run's name is a folder below outputs/
monitor=val/r3 | monitor: invalid value (found 'val/r3'
optimizer.name=adagrad | optimizer.name: invalid value (found 'adagrad', expected 'adam'
learning_rate=1 | learning_rate: unknown key | did you mean optimizer.lr?
epochs=1 | did you mean trainer.max_epochs?
patience=1 | did you mean callbacks.early_stopping.patience?
trainer.devices=2 | trainer.devices: unknown key | hydra.launcher.workers
optimzer=adam | did you mean optimizer?
model=linaer | did you mean model=linear?
data.batch_size=1e23 | data.batch_size: invalid value | a valid integer
seed=${nope} | 'nope' not found
seed | seed: cannot be read as an override
+callbacks.x._target_=lightning.pytorch.callbacks.ModelCheckpoint | mlplab does this by keys of its own
"""


@pytest.mark.parametrize("row", WRONG_VALUES.strip().splitlines())
def test_wrong_values_are_reported(row: str) -> None:
    words, *said = row.split(" | ")

    def read() -> TrainConfig:
        read_overrides(words.split())
        return config(*words.split())

    assert_short_answer(Ended(2, "", message_of(read)), said)


def test_unknown_keys_are_reported_with_the_nearest() -> None:
    values = config().plain()
    values["optimizer"]["momentum"] = 0.9
    values["sede"] = 1
    del values["threads"]
    message = message_of(lambda: parse(values))
    assert "optimizer.momentum: unknown key" in message
    assert "optimizer.momentum belongs to optimizer=sgd" in message
    assert "sede: unknown key" in message
    assert "threads: is missing" in message


SUGGESTIONS = {
    "trainer.minutes trainer.max_minutes": "did you mean sweep.minutes?",
    "trainer.max_time time_limit": "ends after sweep.minutes=…, a run after trainer.max_epochs=…",
    "max_depth model.depth": "did you mean model.hidden?",
    "data.target data.columns data.quote": "add data=csv data.path=FILE",
    "trainer.lr optimzer.lr": "did you mean optimizer.lr?",
    "trainer.max_steps": "did you mean trainer.max_epochs?",
    "batch": "did you mean data.batch_size?",
    "test_size data.test_fraction": "did you mean data.split.test?",
    "data.target_column": "did you mean data.target?",
    "data.split.val_size data.val_fraction": "did you mean data.split.val?",
    "sample_weight data.weight_column": "did you mean data.weight?",
    "scheduler.warmup_epochs": "did you mean scheduler.warmup?",
    "model.batch_norm model.norm_layer": "did you mean model.norm?",
    "data.categorical_columns": "did you mean data.columns?",
    "data.split.group_column": "did you mean data.split.group?",
    "data.catgories": "the keys here are: ",
}


@pytest.mark.parametrize("keys", SUGGESTIONS)
def test_an_unknown_key_may_stand_for_one_with_its_words(keys: str) -> None:
    for key in keys.split():
        assert SUGGESTIONS[keys] in unknown_key(key).remedy
    assert unknown_key("data.path").remedy.endswith("add data=csv")
    assert "belongs" not in unknown_key("optimizer.lr_factors.biases").remedy


def test_classes_are_refused_unless_they_are_listed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "other.Net, mine.Net")
    inside, callbacks = "lightning.pytorch.loggers.os.system", "lightning.pytorch.callbacks"
    hostile = ["builtins.eval", "mine.os.system", inside, f"{callbacks}:Timer", f"{callbacks}.Timer\n", ""]
    values = config().plain()
    net = {"_target_": "mine.Net", "width": 3, "preprocessing": values["model"]["preprocessing"]}
    assert parse(values | {"model": net}).plain()["model"] == net
    for target in hostile:
        for section in ("callbacks", "logger"):
            with pytest.raises(UserError, match="is not allowed here"):
                parse(values | {section: values[section] | {"added": {"_target_": target}}})
        with pytest.raises(UserError, match="is not allowed here"):
            parse(values | {"model": net | {"_target_": target}})
    with pytest.raises(UserError, match="unknown key"):
        config("+optimizer._target_=torch.optim.Adam")
