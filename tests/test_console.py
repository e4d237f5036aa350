import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplab import console
from mlplab.console import in_digits, progress_lines, wrapped


@given(st.floats(1e-4, 9e9), st.integers(2, 9), st.sampled_from([1, -1]))
def test_numbers_have_so_many_digits_and_no_exponent(value: float, digits: int, sign: int) -> None:
    text = in_digits(sign * value, digits)
    assert "e" not in text
    assert float(text.replace(",", "")) == float(f"{sign * value:.{digits}g}")
    assert ("," in text) == (float(f"{value:.{digits}g}") >= 10_000)
    assert in_digits(-0.0) == "0"


def test_long_work_has_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LINE_SECONDS", 0.01)
    lines: list[str] = []
    with progress_lines(lines.append, lambda: f"{len(lines)} done"):
        while len(lines) < 3:
            time.sleep(0.01)
    count = len(lines)
    assert lines[:2] == ["0 done, 0 s", "1 done, 0 s"]
    time.sleep(0.05)
    assert len(lines) == count


def test_long_lines_are_wrapped_between_words_and_indented() -> None:
    path = "outputs/" + "x" * 90
    text = f"one two three four five\n  refused: six seven eight\nfolder: {path}"
    assert wrapped(text, 16).splitlines() == [
        *("one two three", "  four five"),
        *("  refused: six", "    seven eight"),
        *("folder:", f"  {path}"),  # whole, so that it can be copied
    ]
