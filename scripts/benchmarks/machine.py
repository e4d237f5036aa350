"""One core for this process and its children, and a description of where it runs."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mlplab.errors import Fault, UserError

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

PACKAGES = (
    "mlplab",
    "torch",
    "lightning",
    "numpy",
    "polars",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "hydra-core",
    "tensorboard",
    "optuna",
    "submitit",
    "ray",
)

CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
"""The cores that this process could use at its start, as far as that can be limited."""


def pin() -> None:
    """Binds the process to the first core it may use, and libraries imported later to one thread.

    Modules are compiled once, as where people train, and not again by each process that is timed.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = "1"
    if sys.platform == "linux":
        use_cores(1)


def use_cores(count: int) -> None:
    """Binds the process, and those that it starts from now on, to the first cores that it could use.

    Raises:
        UserError: if there are fewer.
    """
    if len(CORES) < count:
        raise UserError(Fault("needs more cores, bound on Linux", found=str(len(CORES)), expected=str(count)))
    os.sched_setaffinity(0, CORES[:count])


def description() -> dict[str, Any]:
    """What the times depend on beside the code that is measured, and which code that is."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
    }


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", os.fspath(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    return None
