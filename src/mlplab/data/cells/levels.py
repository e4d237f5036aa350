"""The order of levels: words such as low, medium and high, and ranges such as 25–34, <12 yrs and 65+."""

import re
from collections.abc import Collection
from math import inf

OPPOSITES = (
    "low high|lower upper|small large|small big|short long|short tall|thin thick|light heavy|light dark"
    "|narrow wide|shallow deep|soft hard|young old|early late|near far|slow fast|weak strong|cool hot"
    "|easy hard|easy difficult|cheap expensive|bad good|poor good|poor rich|less more|worse better"
    "|decrease increase|decreased increased|down up|negative positive|liberal conservative|disagree agree"
    "|dissatisfied satisfied|unsatisfied satisfied|unhappy happy|unlikely likely|oppose favor"
)
"""Pairs of words for the two ends of a scale."""

MIDDLE = (
    "medium|med|middle|mid|midsize|moderate|average|normal|typical|intermediate|mild|neutral|mixed"
    "|same|indifferent|undecided|unsure|unchanged|no change|about the same|neither|neither agree nor disagree"
)

SCALES = (
    "very poor|terrible<poor|po|bad<fair|fa<below average<average|typical|ta|medium|ok|okay<above average"
    "<good|gd<very good<excellent|ex|great|premium|better<ideal|perfect|outstanding|best",
    "never<almost never|hardly ever<rarely|seldom<occasionally<sometimes<often|frequently|usually"
    "<very often|mostly|almost always|nearly always<always",
    "none|no|absent<minimal|minor<mild|slight<some|moderate|medium<marked|major<severe|serious<critical|extreme",
    "not at all|not|none<a little|a little bit|not very|not too|hardly<somewhat|some|moderately"
    "<quite|quite a bit|fairly|pretty<very|very much|a lot|a great deal<extremely|completely",
    "none|no education<primary|elementary<some high school|lower secondary|middle school|junior high"
    "|less than high school|lt high school|hs drop out<secondary|high school|hs|upper secondary|hs grad|ged"
    "|high school graduate|high school diploma<some college|junior college|vocational|associate|associates"
    "|associate degree|associates degree<college|tertiary|university|bachelor|bachelors|bachelors degree"
    "|undergraduate|college graduate<graduate|master|masters|masters degree|postgraduate|graduate school"
    "|graduate degree|advanced degree<doctor|doctorate|phd|ph d",
    "xxs<xs|extra small|tiny<s|small<m|medium<l|large|big<xl|extra large|huge<xxl|2xl<xxxl|3xl",
    "beginner|novice|basic<intermediate<advanced<expert",
    "underweight<normal|normal weight|healthy<overweight<obese|obesity",
    "never<yearly|annually<quarterly<monthly<weekly<daily<hourly",
    "first<second<third<fourth<fifth<sixth<seventh<eighth<ninth<tenth",
    "low<lower middle<middle<upper middle<high",
    *(
        f"extremely {low}|strongly {low}|{low}est<very {low}<{low}<somewhat {low}|slightly {low}|fairly {low}"
        f"<{MIDDLE}"
        f"<somewhat {high}|slightly {high}|fairly {high}<{high}<very {high}"
        f"<extremely {high}|strongly {high}|{high}est"
        for low, high in (pair.split() for pair in OPPOSITES.split("|"))
    ),
)
"""Words from the lowest level to the highest; those of one level are separated by |."""

PLACES = [
    {word: place for place, level in enumerate(scale.split("<")) for word in level.split("|")}
    for scale in SCALES
]

LABEL = re.compile(
    "(age|day|degree|grade|level|month|phase|quintile|rank|round|stage|tier|week|year)s?[^a-z]"
)
"""A word before a number that counts or ranks. The numbers of plots and sites have no order."""

NUMBER = re.compile(
    r"((?:(?:^|(?<=[<>=≤≥])|(?<=to ))-)?(?:[1-9]\d{0,2}(?:,\d{3})+|\d+|inf\b)(?:\.\d+)?)(?:st|nd|rd|th)?"
)

BELOW = r"[<≤]|\b(?:under|below|lt|less|fewer|younger|up to|at most|(?:no|not) more)\b"

ABOVE = r"[>≥+]|\b(?:over|above|mt|gt|more|older|plus|at least|(?:no|not) less)\b"

NO_UNIT = re.compile(rf"{BELOW}|{ABOVE}|[-–—…~=,.$€£]|\b(?:to|and|or|than|through|between|from)\b")


def known_order(texts: Collection[str]) -> tuple[str, ...]:
    """The texts from the lowest level to the highest; empty if no order of them is known.

    They are words of one scale, alone or with words that all have in common (`low risk`, `high risk`), or
    numbers and ranges with one unit that do not overlap (`<12 yrs`, `12`, `13-15`).
    """
    if not texts:
        return ()
    words = [_words(text) for text in texts]
    common = set.intersection(*map(set, words))
    differing = [[word for word in each if word not in common] for each in words]
    for keys in (_places(words), _places(differing), _bounds(texts)):
        if keys and len(set(keys)) == len(texts):
            return tuple(text for _, text in sorted(zip(keys, texts, strict=True)))
    return ()


def _words(text: str) -> list[str]:
    """The words of `Very_Good`, `very good` and `VeryGood` alike, without apostrophes."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", re.sub("['’]", "", text))
    return text.lower().split()


def _places(words: Collection[list[str]]) -> list[tuple[float, float]]:
    """The places of levels on the first scale that has all of them; empty if none has."""
    levels = [" ".join(level) for level in words]
    scale = next((places for places in PLACES if places.keys() >= set(levels)), {})
    return [(float(scale[level]), 0.0) for level in levels] if scale else []


def _bounds(texts: Collection[str]) -> list[tuple[float, float]]:
    """The smallest and the largest number of each range; empty if they overlap or differ in their unit."""
    bounds, units = [], set()
    for text in texts:
        text = re.sub(r"^[(\[](.*),(.*)[)\]]$", r"\1 to \2", text.lower())  # as pandas and R cut numbers
        text = re.sub("^(none|never|zero)$", "0", text)
        numbers = [float(number.replace(",", "")) for number in NUMBER.findall(text)]
        rest = NUMBER.sub(" ", text)
        if len(numbers) == 1:
            is_below, is_above = (re.search(signs, rest) is not None for signs in (BELOW, ABOVE))
            if not (is_below or is_above or LABEL.match(text)) and not re.match(r"[-\d$€£]", text):
                return []
            numbers = [-inf if is_below else numbers[0], inf if is_above and not is_below else numbers[0]]
        if len(numbers) != 2:
            return []
        bounds.append((numbers[0], numbers[1]))
        units.add(frozenset(word.rstrip("s") for word in NO_UNIT.sub(" ", rest).split()) - {""})
    ends = [end for pair in sorted(bounds) for end in pair]
    return bounds if ends == sorted(ends) and len(units - {frozenset()}) <= 1 else []
