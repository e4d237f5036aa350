"""What happens if figures cannot be drawn."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlplab.errors import CannotWrite, cannot_write, is_disk_error, reason_of

log = logging.getLogger(__name__)


@contextmanager
def warn_if_failing(folder: Path, what: str = "figures") -> Iterator[None]:
    """Logs errors as warnings: what has been trained is not to fail for its pictures.

    Raises:
        CannotWrite: if the disk is full.
    """
    try:
        yield
    except CannotWrite:
        raise
    except Exception as error:
        if is_disk_error(error):
            raise cannot_write(error) from error
        log.warning("no %s of %s: %s", what, folder, reason_of(error))
