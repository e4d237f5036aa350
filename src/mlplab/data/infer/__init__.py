"""Infers how the columns of a source are read and what kind they are, and makes a table of them."""
