"""What the command describe does with a CSV file, in a process of its own.

python -m benchmarks.describing FILE   (in the folder scripts)
"""

import json
import sys
from time import perf_counter

from benchmarks.ours import config
from mlplab.commands.describe import describe


def main() -> None:
    """Prints the seconds, without imports and configuration."""
    given = config("data=csv", f"data.path={sys.argv[1]}", "data.target=target")
    start = perf_counter()
    describe(given)
    print(json.dumps({"seconds": perf_counter() - start}))


if __name__ == "__main__":
    main()
