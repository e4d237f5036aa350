from hypothesis import given
from hypothesis import strategies as st

from mlplab import errors
from mlplab.errors import Fault, UserError, did_you_mean, nearest, reason_of, render, within_limits

texts = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=20)
faults = st.lists(st.builds(Fault, texts, texts, texts, texts, texts), min_size=1, max_size=12)


@given(faults)
def test_each_fault_that_is_shown_keeps_its_remedy(many: list[Fault]) -> None:
    lines = render(many, "error: ").splitlines()
    heads = [line for line in lines if line.startswith("error: ")]
    assert len(heads) <= errors.MAX_FAULTS
    shown = many if len(heads) == len(many) else many[: errors.MAX_FAULTS - 1]
    assert len(shown) == len(many) or heads[-1] == f"error: … and {len(many) - len(shown)} more like these"
    assert len(lines) <= 2 * len(heads)
    for fault in shown:
        rest = lines[lines.index(f"error: {fault.sentence()}") + 1 :]
        assert not fault.remedy or f"  {fault.remedy}" in rest


@given(st.lists(st.tuples(*[st.sampled_from(["x", "long " * 99, "two\nlines\r" * 999])] * 5), min_size=1))
def test_no_message_is_long(parts: list[tuple[str, ...]]) -> None:
    error = UserError(*(Fault(*texts) for texts in parts))
    for message in (render(error.faults, "error: "), within_limits("\n".join(sum(parts, ())))):
        assert len(message) <= errors.MAX_CHARACTERS + len("…")
        assert len(message.splitlines()) <= errors.MAX_LINES
    assert "\n" not in reason_of(error) + reason_of(OSError("\n" * 9))
    assert within_limits(str(error)) == str(error)


def test_a_message_names_thing_value_choices_and_remedy_which_neighbours_share() -> None:
    whole = Fault("unknown option", "optimizer", "'adm'", "one of adam, sgd", "mend it")
    error = UserError(whole, Fault("y", remedy="mend it"), Fault("z", remedy="end it"), Fault("w"))
    said = "optimizer: unknown option (found 'adm', expected one of adam, sgd)\ny\n  mend it\nz\n  end it\nw"
    assert str(error) == said
    statuses = [each.status for each in (error, errors.RunFailed("x"), errors.Interrupted("x", 15))]
    assert statuses == [2, 1, 143]


def test_names() -> None:
    assert errors.listed(["a", "b", "c"], limit=2) == "a, b, … (3 in all)"
    assert did_you_mean(nearest("sed", ["lr", "seed"]), "data.") == "did you mean data.seed?"
    assert did_you_mean(nearest("zzz", ["lr", "seed"]), "data.", otherwise="name one") == "name one"
