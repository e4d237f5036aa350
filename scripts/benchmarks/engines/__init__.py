"""The benchmark `engines`: what it costs and saves to train the stacks of a sweep elsewhere."""
