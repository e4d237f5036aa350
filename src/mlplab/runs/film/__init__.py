"""The film of a run: a page that shows how a small network learns, step by step."""
