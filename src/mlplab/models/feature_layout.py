"""The input columns as a network sees them, and how many columns they become after preprocessing."""

from dataclasses import dataclass

from mlplab import config


@dataclass(frozen=True)
class FeatureLayout:
    """The input columns, in the table's order.

    Args:
        categories: number of categories of each column, coded from 0; 0 for numeric columns.
        missing: whether each column had missing values anywhere in the table.
    """

    categories: tuple[int, ...]
    missing: tuple[bool, ...]

    @property
    def numeric(self) -> list[int]:
        """Indices of the numeric columns."""
        return [index for index, size in enumerate(self.categories) if size == 0]

    @property
    def indicators(self) -> list[int]:
        """Indices of the columns that get a missing-value indicator."""
        return [index for index, missing in enumerate(self.missing) if missing]

    def one_hot(self, section: config.Preprocessing) -> list[int]:
        """Indices of the categorical columns that are one-hot encoded."""
        return [
            index for index, size in enumerate(self.categories) if 0 < size <= section.one_hot_max_categories
        ]

    def embedded(self, section: config.Preprocessing) -> list[int]:
        """Indices of the categorical columns that are embedded."""
        return [index for index, size in enumerate(self.categories) if size > section.one_hot_max_categories]


def preprocessed_width(section: config.Preprocessing, layout: FeatureLayout) -> int:
    """Number of columns after preprocessing."""
    one_hot = sum(layout.categories[index] for index in layout.one_hot(section))
    embedded = section.embedding_dim * len(layout.embedded(section))
    return len(layout.numeric) + len(layout.indicators) + one_hot + embedded
