"""Tables drawn from known functions."""
