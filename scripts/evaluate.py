"""Scores a trained run. See `python scripts/evaluate.py --help`."""

from mlplab.cli.main import run

if __name__ == "__main__":
    run("evaluate")
