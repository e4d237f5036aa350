"""The JavaScript that draws a page's charts."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CODE = """
import sys, vl_convert
sys.stdout.buffer.write(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed").encode())
"""


@contextmanager
def bundled() -> Iterator[Callable[[], str]]:
    """Vega-Embed and what it needs, as one script: yields a function that waits for it.

    Another process makes it meanwhile, since it takes more than a second.
    """
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE) as process:

        def script() -> str:
            made = process.communicate()[0].decode()
            if process.returncode:
                raise RuntimeError("the JavaScript that draws charts could not be made")
            return made

        try:
            yield script
        finally:
            process.kill()
