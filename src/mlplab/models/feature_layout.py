"""What a network has to know of its columns, and which columns preprocessing makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlplab import config


@dataclass(frozen=True)
class FeatureLayout:
    """The input columns, in the table's order, and the target.

    Args:
        category_counts: number of categories of each column, coded from 0; 0 for numeric columns.
        missing: whether each column had missing values anywhere in the table.
        targets: number of targets.
        classes: number of the target's classes; 0 for regression.
        quantiles: the levels that a network outputs instead of a single target; none: it outputs targets.
    """

    category_counts: tuple[int, ...]
    missing: tuple[bool, ...]
    targets: int = 1
    classes: int = 0
    quantiles: Sequence[float] = ()

    @property
    def numeric(self) -> list[int]:
        """Indices of the numeric columns."""
        return [index for index, size in enumerate(self.category_counts) if size == 0]

    @property
    def indicators(self) -> list[int]:
        """Indices of the columns that get a missing-value indicator."""
        return [index for index, missing in enumerate(self.missing) if missing]

    def categorical(self, section: config.Preprocessing) -> tuple[list[int], list[int]]:
        """Indices of the columns with few categories, which are one-hot encoded, and of the embedded ones."""
        sizes, most = list(enumerate(self.category_counts)), section.one_hot_max_categories
        return [i for i, size in sizes if 0 < size <= most], [i for i, size in sizes if size > most]

    def columns(self, section: config.Preprocessing) -> list[int]:
        """The number of the column that each column after preprocessing comes from."""
        one_hot, embedded = self.categorical(section)
        from_one_hot = [index for index in one_hot for _ in range(self.category_counts[index])]
        from_embedded = [index for index in embedded for _ in range(section.embedding_dim)]
        return [*self.numeric, *self.indicators, *from_one_hot, *from_embedded]
