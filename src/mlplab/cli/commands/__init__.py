"""A file for each command: its usage, its arguments, and what it prints."""
