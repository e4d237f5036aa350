"""Embeddings of numeric columns, as layers before the hidden ones."""
