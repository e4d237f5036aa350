"""Arguments of every benchmark."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from mlplab.cli.arguments import Arguments, Text

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


Counts = Annotated[tuple[Count, ...], BeforeValidator(_split)]
"""Whole numbers with commas between them."""

TwoCounts = Annotated[tuple[Count, Count], BeforeValidator(_split)]

Names = Annotated[tuple[Text, ...], BeforeValidator(_split)]


class Reported(Arguments):
    """The key of all benchmarks."""

    output: Text


class Benchmark(Reported):
    """Keys of benchmarks that measure again and again."""

    repeats: Count
