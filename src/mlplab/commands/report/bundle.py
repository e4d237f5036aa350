"""The JavaScript that draws a page's charts."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlplab.errors import Fault, UserError

CODE = """
import sys, vl_convert
sys.stdout.buffer.write(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed").encode())
"""


@contextmanager
def bundled() -> Iterator[Callable[[], str]]:
    """Vega-Embed and what it needs, as one script: yields a function that waits for it.

    Another process makes it meanwhile, since it takes more than a second.

    Raises:
        UserError: from that function, if vl-convert-python is not installed or fails.
    """
    command = [sys.executable, "-P", "-c", CODE]  # -P: the current folder may have a file vl_convert.py
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:

        def script() -> str:
            made, errors = process.communicate()
            if process.returncode:
                raise UserError(_fault(errors.decode(errors="replace")))
            return made.decode()

        try:
            yield script
        finally:
            process.kill()


def _fault(errors: str) -> Fault:
    """Why there is no script."""
    reason = errors.strip().rpartition("\n")[2]
    is_absent = reason.startswith("ModuleNotFoundError")
    what = "is not installed" if is_absent else f"does not work: {reason}"
    remedy = f"{'install' if is_absent else 'reinstall'} it: uv sync, or pip install -e ."
    return Fault(what, "vl-convert-python", remedy=remedy)
