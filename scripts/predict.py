"""Predicts the rows of a file with a trained run. See `python scripts/predict.py --help`."""

import sys

from mlplab.cli.commands.predict import main

if __name__ == "__main__":
    main(sys.argv[1:])
