"""Commands run at full speed: the tests of the rooms below check shapes."""

import pytest


@pytest.fixture(autouse=True)
def _at_full_speed(full_speed: None) -> None:
    pass


@pytest.fixture
def without_script_of_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out of reports the script that draws their charts: it takes a second to make."""
    monkeypatch.setattr("mlplab.commands.report.page.chart_script", lambda: "")
