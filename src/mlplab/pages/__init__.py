"""Pages: each is one file of HTML, which asks nothing of the network."""
