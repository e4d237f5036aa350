"""Neural networks on tables: one command from a CSV to a tested, reproducible network."""
