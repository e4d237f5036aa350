"""Shows how training would read the columns of a table. See `python scripts/describe.py --help`."""

import sys
from pathlib import Path

from mlplab.cli.commands.describe import main

if __name__ == "__main__":
    main(sys.argv[1:], Path(__file__).resolve().parents[1] / "conf")
