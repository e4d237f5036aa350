"""Where data and networks meet, which know nothing of each other."""

from mlplab.data.schema import Schema
from mlplab.models import Layout


def layout_of(schema: Schema) -> Layout:
    """What of a schema a network must know."""
    return Layout(schema.categories, schema.missing)
