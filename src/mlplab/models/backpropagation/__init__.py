"""Forward and backward pass of a multilayer perceptron, written out: `operations` has the formulas."""
