"""Shows runs and sweeps in one table. See `python scripts/results.py --help`."""

from mlplab.cli.main import run

if __name__ == "__main__":
    run("results")
