from itertools import product

import torch

from mlplab.random_streams import generator


def drawn(*arguments: object) -> int:
    return int(torch.randint(2**62, (1,), generator=generator(*arguments)))  # type: ignore[arg-type]


def test_streams_are_functions_of_seed_use_and_index() -> None:
    uses = [*product((0, 1, 2**32, 2**62), ("weights", "order", "dropout", "embeddings"), (0, 1))]
    values = [drawn(*use) for use in uses]
    assert values == [drawn(*use) for use in uses]
    assert len(set(values)) == len(values)
