"""Writes one page about a run or a sweep. See `python scripts/report.py --help`."""

from mlplab.cli.main import run

if __name__ == "__main__":
    run("report")
