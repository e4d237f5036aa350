"""`python -m mlplab`, which is the same as `mlplab`."""

from mlplab.cli.main import main

if __name__ == "__main__":
    main()
