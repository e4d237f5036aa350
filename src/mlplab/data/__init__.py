"""Tables, their splits and their schema, and the batches made of them."""
