"""What a source's columns mean: how each is read, what it turned out to be, and the table that they make."""
