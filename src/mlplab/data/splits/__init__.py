"""Which rows are train, val and test."""
