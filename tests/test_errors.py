from hypothesis import given
from hypothesis import strategies as st

from mlplab.errors import MAX_LINES, Fault, Interrupted, RunFailed, UserError, listed, nearest

texts = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=20)
faults = st.lists(st.builds(Fault, texts, texts, texts, texts, texts), min_size=1, max_size=12)


@given(faults)
def test_a_message_has_few_lines_and_tells_how_many_more(many: list[Fault]) -> None:
    lines = str(UserError(*many)).splitlines()
    assert len(lines) <= MAX_LINES
    told = [line for line in lines if line.startswith("error: ")]
    assert len(told) == len(many) or told[-1] == f"error: … and {len(many) - len(told) + 1} more like these"


def test_a_message_names_thing_value_choices_and_remedy() -> None:
    fault = Fault("unknown option", "optimizer", "'adm'", "one of adam, sgd", "did you mean optimizer=adam?")
    assert str(UserError(fault)) == (
        "error: optimizer: unknown option (found 'adm', expected one of adam, sgd)\n"
        "  did you mean optimizer=adam?"
    )


def test_statuses() -> None:
    assert UserError(Fault("x")).status == 2
    assert RunFailed("x").status == 1
    assert Interrupted("x", 15).status == 143
    assert str(RunFailed("it broke")) == "error: it broke"


def test_names() -> None:
    assert listed(["a", "b", "c"], limit=2) == "a, b, … (3 in all)"
    assert nearest("sed", ["lr", "seed"]) == ["seed"]
    assert nearest("zzz", ["lr", "seed"]) == []
