"""Watching a sweep or a run from the files in its folder."""
