"""Arrays within JSON."""

import base64

import numpy as np
from jaxtyping import Shaped

from mlplab.files import Plain


def packed(values: Shaped[np.ndarray, "*shape"]) -> Plain:
    """An array as JSON: bytes as they are, all other numbers as float32."""
    kind = "uint8" if values.dtype == np.uint8 else "float32"
    content = np.ascontiguousarray(values, dtype=kind)
    return {"shape": values.shape, "type": kind, "data": base64.b64encode(content.tobytes()).decode()}
