"""Shows runs and sweeps in one table. See `python scripts/results.py --help`."""

import sys

from mlplab.cli.commands.results import main

if __name__ == "__main__":
    main(sys.argv[1:])
