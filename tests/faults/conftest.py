"""What the tests of engines compare with."""

from typing import Any

import pytest
from faults.engines import Site, outcomes, start


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a sweep leaves that trains undisturbed in one process."""
    sweep = start(tmp_path_factory.mktemp("whole"), Site([]))
    assert sweep.end()[0] == 0
    return outcomes(sweep.folder)
