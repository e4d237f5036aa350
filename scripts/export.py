"""Writes a trained run as an ONNX model. See `python scripts/export.py --help`."""

from mlplab.cli.main import run

if __name__ == "__main__":
    run("export")
