"""What holds in each process that runs tests. Imported before mlplab and the libraries that it uses.

**One thread**, as there are as many of these processes as cores: threads of boosting and polars would wait
for each other. Processes that tests start inherit that.

**Shapes in signatures are checked.** The option `--jaxtyping-packages` puts a decorator on each function.
Here, only functions whose signatures have shapes get it: mypy checks the other types, and to make all the
decorators would take most of the time of an import.
"""

import os
from collections.abc import Callable
from typing import Any

import jaxtyping

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(name, "1")

_decorator = jaxtyping.jaxtyped


def _of_shapes(*, typechecker: Any) -> Callable[[Any], Any]:
    def decorated(function: Any) -> Any:
        has_shapes = "jaxtyping." in repr(getattr(function, "__annotations__", {}))
        return _decorator(function, typechecker=typechecker) if has_shapes else function

    return decorated


jaxtyping.jaxtyped = _of_shapes
