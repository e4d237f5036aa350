"""What happens during the training of a stack: by step and epoch."""
