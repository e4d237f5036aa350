"""Loggers: curves during training, and what TensorBoard shows beside them."""
