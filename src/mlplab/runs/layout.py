"""Where data and networks meet, which know nothing of each other."""

from mlplab.data.schema import Schema
from mlplab.models import FeatureLayout


def layout_of(schema: Schema) -> FeatureLayout:
    """What of a schema a network must know."""
    return FeatureLayout(schema.categories, schema.missing)
