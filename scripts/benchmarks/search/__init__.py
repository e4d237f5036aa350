"""The benchmark `search`: hyperparameter searches beside each other, beside peers, and killed."""
