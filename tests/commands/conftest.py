"""Commands run at full speed: the tests of the rooms below check shapes."""

import pytest


@pytest.fixture(autouse=True)
def _at_full_speed(full_speed: None) -> None:
    pass
