"""The order of levels: words such as low, medium and high, and ranges such as 25–34, <12 yrs and 65+."""

import re
from collections.abc import Collection
from functools import cache
from math import inf
from pathlib import Path

NUMBER = r"((?:(?:^|(?<=[<>=≤≥])|(?<=to ))-)?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+|inf\b)(?:\.\d+)?)(?:st|nd|rd|th)?"

BELOW = r"[<≤]|\b(?:under|below|lt|less|fewer|younger|up to|at most|(?:no|not) more)\b"

ABOVE = r"[>≥+]|\b(?:over|above|mt|gt|more|older|plus|at least|(?:no|not) less)\b"

NO_ANSWER = r"(?i)^(undecided|refused?|unknown|don['’]?t know|no (answer|response|opinion)|(not |un)sure)$"
"""Answers to questions whose other answers may have an order."""

NO_UNIT = re.compile(rf"{BELOW}|{ABOVE}|[-–—…~=,.$€£]|\b(?:to|and|or|than|through|between|from)\b")


def known_order(texts: Collection[str]) -> tuple[str, ...]:
    """The texts from the lowest level to the highest; empty if no order of them is known.

    They are words of one scale, alone or with words that all have in common (`low risk`, `high risk`), or
    numbers and ranges with one unit that do not overlap (`<12 yrs`, `12`, `13-15`).
    """
    if not texts:
        return ()
    # `Very_Good`, `very good` and `VeryGood` have the same words, and apostrophes none.
    plain = (re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", re.sub("['’]", "", text)) for text in texts)
    words = [text.lower().split() for text in plain]
    common = set.intersection(*map(set, words))
    differing = [[word for word in level if word not in common] for level in words]
    for keys in (_places(words), _places(differing), _bounds(texts)):
        if keys and len(set(keys)) == len(texts):
            return tuple(text for _, text in sorted(zip(keys, texts, strict=True)))
    return ()


@cache
def scales() -> list[dict[str, int]]:
    """The place of each word on each scale of `scales.txt`."""
    lines = Path(__file__).with_name("scales.txt").read_text(encoding="utf-8").splitlines()
    between = next(line for line in lines if "LOW" in line)
    opposites = [line.split(" … ") for line in lines if " … " in line]
    written = [line for line in lines if " < " in line and line != between]
    written += [between.replace("LOW", low).replace("HIGH", high) for low, high in opposites]
    return [
        {word: place for place, level in enumerate(scale.split(" < ")) for word in level.split("|")}
        for scale in written
    ]


def _places(words: Collection[list[str]]) -> list[tuple[float, float]]:
    """The places of levels on the first scale that has all of them; empty if none has."""
    levels = [" ".join(level) for level in words]
    scale = next((places for places in scales() if places.keys() >= set(levels)), {})
    return [(float(scale[level]), 0.0) for level in levels] if scale else []


def _bounds(texts: Collection[str]) -> list[tuple[float, float]]:
    """The smallest and the largest number of each range; empty if they overlap or differ in their unit."""
    bounds, units = [], set()
    for text in texts:
        text = re.sub(r"^[(\[](.*),(.*)[)\]]$", r"\1 to \2", text.lower())  # as pandas and R cut numbers
        text = re.sub("^(none|never|zero|no change)$", "0", text)
        numbers = [float(number.replace(",", "")) for number in re.findall(NUMBER, text)]
        rest = re.sub(NUMBER, " ", text)
        if len(numbers) == 1:
            is_below, is_above = (re.search(signs, rest) is not None for signs in (BELOW, ABOVE))
            # The numbers of plots and sites have no order.
            ranks = "age|day|degree|grade|level|month|phase|quintile|rank|round|stage|tier|week|year"
            if not (is_below or is_above or re.match(rf"({ranks})s?[^a-z]|[-\d$€£]", text)):
                return []
            numbers = [-inf if is_below else numbers[0], inf if is_above and not is_below else numbers[0]]
        if len(numbers) != 2:
            return []
        bounds.append((numbers[0], numbers[1]))
        units.add(frozenset(word.rstrip("s") for word in NO_UNIT.sub(" ", rest).split()) - {""})
    ends = [end for pair in sorted(bounds) for end in pair]
    return bounds if ends == sorted(ends) and len(units - {frozenset()}) <= 1 else []
