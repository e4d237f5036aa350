"""What the name of a column says of its numbers: that they count rows, or stand for names."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mlplab.data.splits.split import distinct

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|#")

ROW = "row|rec|record|obs|observation|case|line|entry|instance|sample|example|serial|seq|sequence"

# Names that polars, pandas, readr, Spark and R give to columns that have none.
GENERATED = re.compile(r"column_\d+|Unnamed: \d+|\.\.\.\d+|_c\d+|V\d+|__index_level_\d+__")

# Last words of names for what numbers stand for: `statecode`. What is counted has a plural (`sites`), and
# what is measured another last word (`group_size`). After the blank line are those of groups, which may have
# an order, and of words with other meanings.
CODES, OTHERS = (
    "|".join(words.split())
    for words in Path(__file__).with_name("names.txt").read_text(encoding="utf-8").split("\n\n")
)

ENGLISH = "ac|av|b|br|flu|gr|hum|hybr|k|l|lip|liqu|m|pa|r|rap|rig|sol|stero|val|vo"  # words with -id

TIME_WORDS = "year|date|time|month|week|day"  # anywhere in names of times

FEWEST_REPEATS = 1.5  # rows of each code, on average

# Words of names for amounts: of something, or at and to it.
AMOUNTS = {"age", "count", "days", "hours", "minutes", "months", "num", "number", "years"}
AMOUNTS |= {"per", "to", "in", "from", "since"}


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: `user`, `id` of `userId`."""
    return [word.lower() for word in WORD.findall(name)]


def names_row_number(name: str) -> bool:
    """Whether a column's name says that it numbers or identifies rows, or is none that a person gave."""
    words = words_of(name)
    row_number = rf"({ROW})s?(id|names?)?|({ROW}|s|sl|sr|lfd)?(no|nr|num|number|index|idx|#)"
    says_so = {"id", "uid", "identifier"} & {*words} or re.fullmatch(row_number, "".join(words))
    return bool(says_so or GENERATED.fullmatch(name))


def stands_for_names(name: str, words: str = f"{CODES}|{OTHERS}") -> bool:
    """Whether a column's name says that its whole numbers may stand for names, by its last word."""
    found = words_of(name)
    while found and re.fullmatch("no|nr|num|number|#|[0-9]+", found[-1]):  # as in `plot_no`
        found.pop()
    return bool(found) and re.fullmatch(words, found[-1]) is not None


def are_codes(name: str, values: Float[np.ndarray, " row"], lowest: float) -> bool:
    """Whether numbers are codes, such as those of schools: whole ones that repeat, under a name that says so.

    Args:
        values: NaN is missing.
        lowest: the smallest value in the column's units; the values may have an offset.
    """
    words = words_of(name)
    identifier = rf"uid|(?!({ENGLISH})id$)[a-z]*id|identifier"
    is_id = words == ["nr"] or (words and re.fullmatch(identifier, words[-1]))
    if not (is_id or stands_for_names(name, CODES)) or AMOUNTS & {*words}:
        return False
    values = values[~np.isnan(values)]
    steps = (found := distinct(values)) - found[:1]
    repeat = 3 <= len(found) <= len(values) / FEWEST_REPEATS
    return bool(repeat and lowest >= 0 and lowest.is_integer() and (steps == np.floor(steps)).all())
