"""What stands in the columns that a network gets, and how wide they are once they are encoded."""

from dataclasses import dataclass

from mlplab import config


@dataclass(frozen=True)
class FeatureLayout:
    """Of each feature, in the table's order.

    Args:
        categories: how many it has, whose codes count from 0; 0 for a number.
        missing: whether any of its values was missing in the whole table.
    """

    categories: tuple[int, ...]
    missing: tuple[bool, ...]

    @property
    def numbers(self) -> list[int]:
        """The features that are numbers."""
        return [feature for feature, size in enumerate(self.categories) if size == 0]

    @property
    def incomplete(self) -> list[int]:
        """The features that get an indicator of missing values."""
        return [feature for feature, missing in enumerate(self.missing) if missing]

    def small(self, section: config.Preprocessing) -> list[int]:
        """The features whose categories become one column each."""
        return [
            feature
            for feature, size in enumerate(self.categories)
            if 0 < size <= section.one_hot_max_categories
        ]

    def large(self, section: config.Preprocessing) -> list[int]:
        """The features whose categories become learned vectors."""
        return [
            feature for feature, size in enumerate(self.categories) if size > section.one_hot_max_categories
        ]


def preprocessed_width(section: config.Preprocessing, layout: FeatureLayout) -> int:
    """Columns that the hidden layers see."""
    one_hot = sum(layout.categories[feature] for feature in layout.small(section))
    embedded = section.embedding_dim * len(layout.large(section))
    return len(layout.numbers) + len(layout.incomplete) + one_hot + embedded
