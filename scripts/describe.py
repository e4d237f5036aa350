"""Shows how training would read the columns of a table. See `python scripts/describe.py --help`."""

from mlplab.cli.main import run

if __name__ == "__main__":
    run("describe")
