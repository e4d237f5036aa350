"""Tables, their schema, their splits, and batches."""
