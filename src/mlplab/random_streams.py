"""Random generators that depend only on a member's seed and their use.

Each use has its own stream. So a member draws the same weights, batch order and dropout masks alone and in
any stack.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

Stream = Literal[
    "weights", "order", "dropout", "embeddings", "frequencies", "initial rows", "initial biases", "heads"
]
_STREAMS: dict[Stream, int] = {name: number for number, name in enumerate(get_args(Stream))}


def generator(
    seed: int, stream: Stream, index: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """The generator of a stream; `index` distinguishes uses within it (epochs, layers)."""
    state = np.random.SeedSequence(seed, spawn_key=(_STREAMS[stream], index)).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0] >> np.uint64(1)))


class SkipInit(TorchFunctionMode):
    """Within this context, `torch.nn.init` leaves tensors as they are, for modules about to be loaded.

    Like `torch.nn.utils.skip_init`, for whole modules whose buffers must keep their values.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
