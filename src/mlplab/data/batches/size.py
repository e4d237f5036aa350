"""How many rows a batch has. Imports no torch."""


def batch_rows(batch_size: int | None, rows: int) -> int:
    """Rows per training step: at most all rows."""
    return min(batch_size or rows, rows)
