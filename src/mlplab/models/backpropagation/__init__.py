"""Forward and backward pass of a multilayer perceptron: `operations` has the formulas, `passes` runs them."""
