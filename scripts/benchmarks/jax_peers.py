"""What JAX does in its own processes: an epoch is one compiled call, with the loop over its steps inside."""
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from benchmarks import child
from benchmarks.peers import Answer, Rows, Task, drawn_rows

LR, BETA1, BETA2, EPSILON = 0.01, 0.9, 0.999, 1e-8

jax.config.update("jax_threefry_partitionable", False)  # which makes masks take a tenth of the time

Weights = list[tuple[Array, Array]]  # the weights `[in, out]` and biases `[out]` of each layer

State = tuple[Weights, Weights, Weights, Array]  # the weights of a network, and Adam's moments and steps


def initial(of: Task) -> State:
    """Networks with a leading axis, and weights between ± 1/√in, as PyTorch draws them."""
    drawn, weights = np.random.default_rng(0), list[tuple[Array, Array]]()
    for inputs, outputs in pairwise((of.features, *of.hidden, 1)):
        sizes, bound = ((of.runs, inputs, outputs), (of.runs, outputs)), inputs**-0.5
        weight, bias = (jnp.asarray(drawn.uniform(-bound, bound, size), jnp.float32) for size in sizes)
        weights.append((weight, bias))
    zeros = jax.tree.map(jnp.zeros_like, weights)
    return weights, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros(of.runs)


def error(weights: Weights, x: ArrayLike, y: ArrayLike, masks: Sequence[Array] = ()) -> Array:
    """The mean squared error of ReLU layers with these masks (0: dropped), and one output."""
    *hidden, (last, bias) = weights
    for number, layer in enumerate(hidden):
        x = jax.nn.relu(x @ layer[0] + layer[1])
        x = x * masks[number] if masks else x
    return jnp.mean(((x @ last + bias)[:, 0] - y) ** 2)


def for_each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of one network for many, in turn: on one core, `vmap` takes up to twice as long."""
    return jax.jit(lambda *arguments: lax.map(lambda one: function(*one), arguments), donate_argnums=0)


def epoch(of: Task, rows: Rows) -> Callable[[State, np.ndarray, np.ndarray], State]:
    """Returns what trains networks for an epoch with Adam, given orders of the rows, and seeds of dropout."""
    x, y = map(jnp.asarray, rows)

    def step(state: State, batch: tuple[Array, list[Array]]) -> tuple[State, None]:
        weights, mean, square, steps = state
        masks = [(drawn >= round(256 * of.dropout)) / (1 - of.dropout) for drawn in batch[1]]
        gradient, steps = jax.grad(error)(weights, x[batch[0]], y[batch[0]], masks), steps + 1
        mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, gradient)
        square = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g**2, square, gradient)
        rate, scale = LR / (1 - BETA1**steps), 1 / (1 - BETA2**steps) ** 0.5
        update = lambda w, m, v: w - rate * m / (jnp.sqrt(v) * scale + EPSILON)  # noqa: E731
        return (jax.tree.map(update, weights, mean, square), mean, square, steps), None

    def with_bits(order: Array, key: Array) -> tuple[Array, list[Array]]:
        """Eight bits for each hidden value: drawn for all steps at once, they take a third of the time."""
        keys = zip(jax.random.split(key, len(of.hidden)), of.hidden if of.dropout else (), strict=False)
        return order, [jax.random.bits(each, (*order.shape, units), jnp.uint8) for each, units in keys]

    def train(state: State, order: Array, seed: Array) -> State:
        full, rest = jnp.split(order, [len(order) // of.batch * of.batch])
        first, second = jax.random.split(jax.random.key(seed))
        state, _ = lax.scan(step, state, with_bits(full.reshape(-1, of.batch), first))
        return step(state, with_bits(rest, second))[0] if len(rest) else state

    return for_each(train)


def epochs(of: Task, rows: Rows) -> Iterator[State]:
    """Trains networks: their states after each epoch."""
    state, train, drawn = initial(of), epoch(of, rows), np.random.default_rng(0)
    for number in range(of.epochs):
        order = np.stack([drawn.permutation(of.rows).astype(np.int32) for _ in range(of.runs)])
        state = train(state, order, np.arange(number * of.runs, (number + 1) * of.runs))
        yield jax.block_until_ready(state)


def jax_step(task: str) -> Answer:
    """The seconds of a step of one network: the median epoch after the first, which compiles."""
    of, train, *_ = drawn_rows(task)
    ends = [child.now() for _ in epochs(of, train)]
    return {"seconds": float(np.median(np.diff(ends))) / of.steps / of.runs}


def jax_sweep(task: str) -> Answer:
    """Validates networks after each epoch, and tests their best weights; without files."""
    of, train, val, test = drawn_rows(task)

    def better(best: tuple[Array, Weights], weights: Weights) -> tuple[Array, Weights]:
        new = error(weights, *val), weights
        return jax.tree.map(lambda ours, theirs: jnp.where(new[0] < best[0], ours, theirs), new, best)

    keep, best = for_each(better), (jnp.full(of.runs, jnp.inf), initial(of)[1])
    for state in epochs(of, train):
        best = keep(best, state[0])
    return {"errors": lax.map(lambda weights: error(weights, *test), best[1]).tolist()}
