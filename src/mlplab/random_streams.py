"""Random generators that are functions of a member's seed and of what they are for.

Each use has its own stream, so that a member draws the same weights, order and masks alone, in any stack,
and whatever else the run does.
"""

from typing import Literal

import numpy as np
import torch

Stream = Literal["weights", "order", "dropout", "embeddings"]
_STREAMS: dict[Stream, int] = {"weights": 0, "order": 1, "dropout": 2, "embeddings": 3}


def generator(
    seed: int, stream: Stream, index: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """The generator of one stream; `index` tells apart the uses within it (the epoch, the layer)."""
    state = np.random.SeedSequence(seed, spawn_key=(_STREAMS[stream], index)).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0] >> np.uint64(1)))
