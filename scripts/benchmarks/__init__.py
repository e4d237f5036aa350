"""What `scripts/benchmark.py` measures: one benchmark or one contender a file."""
