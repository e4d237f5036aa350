"""The states of CMA-ES in a study. Optuna stores them as pickles, which could contain any code."""

import io
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlplab.errors import Fault, UserError

OPTIMIZER = ":optimizer:"
"""Part of the names under which a trial has the pieces of a pickle, followed by their numbers."""

ALLOWED = {
    ("cmaes._cma", "CMA"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
}
"""What the state of CMA-ES consists of, but for numbers and text."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module_name}.{global_name}")
        return super().find_class(module_name, global_name)


def check_saved_optimizers(attributes: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Checks that what Optuna would unpickle is the state of CMA-ES and nothing else.

    Args:
        attributes: the system attributes of each trial.
        path: the study's file, for messages.

    Raises:
        UserError: otherwise.
    """
    for each in attributes:
        pieces = {int(key.rpartition(":")[2]): str(each[key]) for key in each if OPTIMIZER in key}
        if pieces:
            try:
                text = "".join(pieces[number] for number in sorted(pieces))
                _Unpickler(io.BytesIO(bytes.fromhex(text))).load()
            except Exception as error:
                what = f"does not hold the state of CMA-ES, but {error}"
                raise UserError(Fault(what, str(path), remedy="start a new search: name=…")) from error
