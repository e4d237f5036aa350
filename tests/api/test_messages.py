"""Keys and values in messages, as Python has them."""

import pytest

from mlplab.api.messages import keywords_in_messages
from mlplab.errors import Fault, RunFailed, UserError


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("did you mean optimizer.lr?", 'did you mean optimizer={"lr": …}?'),
        ("use loss=mse, or task=multiclass", 'use loss="mse", or task="multiclass"'),
        ("data/split=time data.split.test=0", 'data={"split": "time"} data={"split": {"test": 0}}'),
        ("(trainer.max_epochs=…), test=false", '(trainer={"max_epochs": …}), test=False'),
        ("data.batch_size=null", 'data={"batch_size": None}'),
        (
            "if it is one: data.columns.x=[low,high].",
            'if it is one: data={"columns": {"x": ["low", "high"]}}.',
        ),
        ("'data.columns.my zip=\"1,5\"'; or", 'data={"columns": {"my zip": "1,5"}}; or'),
        ("data.columns.a=b=drop, or data.path", 'data={"columns": {"a=b": "drop"}}, or data={"path": …}'),
        ("data.decimal=. for all", 'data={"decimal": "."} for all'),
        ("'data.na_values=[\"?\"]'", 'data={"na_values": ["?"]}'),
        ("'optimizer.lr=interval(0.1,1)'", '{"optimizer.lr": "interval(0.1,1)"}'),
        ("++optimizer.lr=1 and optimizer.lr=1,2", 'optimizer={"lr": 1} and {"optimizer.lr": [1, 2]}'),
        ("instead: -m optimizer.lr=1,2; or", "instead: call mlplab.sweep or mlplab.search; or"),
        ("folder=… or name=…", "folder=… or name=…"),
        ("data.csv, data/path.csv and model.pt", "data.csv, data/path.csv and model.pt"),
    ],
)
def test_keys_are_keywords(typed: str, written: str) -> None:
    with pytest.raises(UserError) as wrong, keywords_in_messages():
        raise UserError(Fault("is wrong", "t.csv", remedy=typed))
    assert str(wrong.value) == f"t.csv: is wrong\n  {written}"
    with pytest.raises(RunFailed) as failed, keywords_in_messages():
        raise RunFailed(typed)
    assert str(failed.value) == written


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("unknown key", "optimizer.csv"), 'optimizer={"csv": …}: unknown key'),
        (Fault("is odd", 'data.columns.a=b, "c'), r'data={"columns": {"a=b, \"c": …}}: is odd'),
        (Fault("is odd", "data.columns.a=drop"), 'data={"columns": {"a": "drop"}}: is odd'),
        (Fault("is odd", "optimizer.csv"), "optimizer.csv: is odd"),
    ],
)
def test_where_a_mistake_is(fault: Fault, message: str) -> None:
    with pytest.raises(UserError) as error, keywords_in_messages():
        raise UserError(fault)
    assert str(error.value) == message
