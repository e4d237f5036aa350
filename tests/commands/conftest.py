"""Commands run at full speed: the tests of the rooms below check shapes."""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture(autouse=True, scope="module")
def _at_full_speed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        yield


@pytest.fixture
def without_script_of_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlplab.commands.report.report.chart_script", lambda: "/* charts */")
