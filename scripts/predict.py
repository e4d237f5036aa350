"""Predicts the rows of a file with a trained run. See `python scripts/predict.py --help`."""

from mlplab.cli.main import run

if __name__ == "__main__":
    run("predict")
