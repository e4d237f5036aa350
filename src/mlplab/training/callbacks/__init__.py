"""What happens during the training of a stack: after each step, and after each epoch. Imports no torch."""
