"""Batches of a table, for all members at once."""
