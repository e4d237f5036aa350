"""Run folders, and the verbs that make and use them."""
