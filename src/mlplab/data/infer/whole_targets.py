"""Targets of whole numbers: numbers, codes that stand for names, or identifiers of rows."""

import re

import numpy as np
from jaxtyping import Float64, Int64

from mlplab.data.infer.infer_task import MAX_CLASSES, MAX_CLASSES_SHARE
from mlplab.data.infer.inferred_column import InferredColumn
from mlplab.data.infer.suspicious_numbers import GENERATED, WORD, counts_rows, names_row_number
from mlplab.data.infer.table_reader import TableReader

MAX_CODES = 30
"""Largest number of distinct whole numbers that may stand for names."""

MIN_ROWS_PER_CODE = 2
"""Mean number of rows per distinct number from which they may stand for names."""

_NAMED = (
    "animal|arm|batch|block|brand|breed|cat|cent(er|re)|choice|clinic|colou?r|company|country|county|cultivar|"
    "customer|denomination|department|destination|diagnosis|diet|digit|district|ethnicity|event|experiment|expt|"
    "family|farm|firm|genotype|herd|hospital|household|id|individual|industry|kind|lab|label|litter|location|"
    "machine|manufacturer|marital|material|method|model|occ|occupation|operator|origin|pair|panel|participant|"
    "party|patient|person|plant|plot|product|race|rat|religion|sector|segment|ship|shelf|shop|site|state|station|"
    "store|strain|student|subj|subject|supplier|target|team|tissue|treat|treatment|trial|trt|user|variety|vendor|"
    "worker|zone"
)
NAMED = re.compile(
    rf"({_NAMED})|.*(category|class|classification|cluster|code|group|region|species|status|type)"
)
"""Last words of names for what numbers stand for: `region`, `statecode`. What is counted has a plural
(`sites`), and what is measured another last word (`group_size`)."""

NUMBERING = re.compile("no|nr|num|number|#|[0-9]+")
"""What may follow such a word without changing what it says: `plot_no`."""

MAX_RARE_CODES, MIN_DIP = 5, 5
"""Numbers of another name stand for names if there are few, and one of them has fewer rows than both a lower
and a higher one, by so many standard deviations: those of counts and ratings have one peak."""


def whole_target_note(column: InferredColumn, reader: TableReader) -> str:
    """A warning about a target that identifies rows, or an offer to predict its numbers as classes.

    Of 900 columns of up to 30 whole numbers in R's tables, 66 stand for names.
    """
    spec, values = reader.spec, reader.values(column)
    if spec.task != "auto" or spec.asks_for_numbers or column.name in spec.declared:
        return ""
    values = values[~np.isnan(values)]
    if (values != np.floor(values)).any():
        return ""
    distinct, counts = np.unique(values, return_counts=True)
    silenced = "(task=regression removes this line)"
    is_identifier = names_row_number(column.name) and not GENERATED.fullmatch(column.name)
    if (is_identifier and len(distinct) == len(values)) or counts_rows(values, column.low[0], column.high[0]):
        what = "a different whole number in each row, like a row number or an identifier"
        return f"{what}; if it is one, choose a different data.target {silenced}"
    most = min(MAX_CODES, len(values) / MIN_ROWS_PER_CODE, max(MAX_CLASSES, MAX_CLASSES_SHARE * len(values)))
    if len(distinct) > most or not (stands_for_names(column.name) or are_codes(distinct, counts)):
        return ""
    what = f"its {len(distinct)} whole values are predicted as numbers"
    return f"{what}; if they are classes: task=multiclass {silenced}"


def stands_for_names(name: str) -> bool:
    """Whether a column's name says that its whole numbers may stand for names."""
    words = [word.lower() for word in WORD.findall(name)]
    while words and NUMBERING.fullmatch(words[-1]):
        words.pop()
    return bool(words) and NAMED.fullmatch(words[-1]) is not None


def are_codes(distinct: Float64[np.ndarray, " value"], counts: Int64[np.ndarray, " value"]) -> bool:
    """Whether numbers, and how many rows have each, look like codes: 1: 423 rows, 2: 215, 3: 562."""
    if len(distinct) > MAX_RARE_CODES or distinct[0] not in (0, 1) or np.ptp(distinct) >= len(distinct):
        return False
    lower, higher = np.maximum.accumulate(counts), np.maximum.accumulate(counts[::-1])[::-1]
    peak = np.minimum(lower, higher)
    return bool(((peak - counts) / np.sqrt(peak + counts)).max() > MIN_DIP)
