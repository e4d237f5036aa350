"""What does an optimizer step cost?

step      of a network, alone and in a stack; beside PyTorch, Lightning, JAX, scikit-learn and bare products
  shapes=2-4-1@1000/1000,8-64-64-1@100/10000   layers, rows of a step, and training rows
  members=64     numbers of networks in the stacks
  dropout=0.1    0: without these
  peers=false    mlplab alone, for example beside another checkout
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from math import ceil
from statistics import fmean
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from benchmarks import harness
from benchmarks.peers import Task

PEERS = {  # their functions by name; the first is the base of ratios
    "plain PyTorch": "torch_peers.plain_step",
    "Lightning": "torch_peers.lightning_step",
    "scikit-learn": "peers.sklearn_step",
    "products alone": "torch_peers.products",
}

LEAST_BYTES = 2**24  # of rows on which mlplab trains: it loads a few MiB at a time, of many small epochs
SAME_ARITHMETIC = (*harness.PLAIN, "optimizer=adam", "scheduler=constant", "figures=none")
"""As the peers have it."""


def task_of(shape: str, runs: int = 1, dropout: float = 0.0) -> Task:
    """Reads `8-64-64-1@100/10000`; with epochs that suffice to measure a step, after the first."""
    layers, _, sizes = shape.partition("@")
    features, *hidden, outputs = map(int, layers.split("-"))
    batch, rows = map(int, sizes.split("/"))
    if outputs != 1 or not hidden:
        raise ValueError(f"a shape has hidden layers and one output, as 8-64-64-1@100/10000 (found {shape})")
    least, most, steps = (5, 100, 300) if runs == 1 else (2, 20, 60)
    epochs = 1 + max(least, min(most, steps // -(-rows // batch)))
    return Task(features, hidden, batch, rows, epochs, runs, dropout)


def overrides_of(task: Task) -> tuple[str, ...]:
    """What makes `train.py` train such a network on as many rows."""
    return (
        *("data=synthetic", "data.function=product", f"data.features={task.features}", *SAME_ARITHMETIC),
        *(f"data.rows={round(task.rows / 0.8)}", "data.split.val=0.1", "data.split.test=0.1"),
        *(f"model.hidden=[{','.join(map(str, task.hidden))}]", f"data.batch_size={task.batch}"),
    )


Shape = Annotated[str, AfterValidator(lambda shape: shape if task_of(shape) else "")]


class Step(harness.Benchmark):
    shapes: Annotated[tuple[Shape, ...], BeforeValidator(harness.split)] = (
        *("2-4-1@1000/1000", "8-64-64-1@100/10000", "8-128-128-128-1@32/10000", "8-256-256-256-1@256/10000"),
    )
    members: harness.Counts = (64,)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    peers: bool = True


def measure(arguments: Step) -> None:
    contenders: harness.Contenders = {}
    first, base, more = arguments.checkouts[0], "mlplab, 1", dict[str, Callable[[harness.Key], str]]()
    if arguments.peers:
        harness.needs("jax")
        base, more = next(iter(PEERS)), {"of JAX": lambda key: times[key].ratio(times.get(_jax_of(key)))}
    for shape in arguments.shapes:
        tasks = {  # one network and the stacks, without and with dropout
            f"{members}{', dropout' if dropout else ''}": task_of(shape, members, dropout)
            for members in dict.fromkeys((1, *arguments.members))
            for dropout in dict.fromkeys((0.0, arguments.dropout))
        }
        for (kind, task), checkout in product(tasks.items(), arguments.checkouts):
            contenders[shape, f"{checkout.name}, {kind}"] = partial(step_seconds, checkout, task)
        for kind, task in tasks.items() if arguments.peers else ():
            contenders[shape, f"JAX, {kind}"] = partial(first.ask, "jax_peers.jax_step", task.json())
        for peer, function in PEERS.items() if arguments.peers else ():
            contenders[shape, peer] = partial(first.ask, function, tasks["1"].json())
    times = harness.alternate(contenders, arguments.repeats)
    title, caption = "seconds of a step of one network", "N: in a stack of N networks"
    harness.report(arguments, times, harness.comparison(title, times, base, caption, **more))


def _jax_of(key: harness.Key) -> harness.Key:
    """JAX with as many networks."""
    return key[0], f"JAX, {key[1].partition(', ')[2]}" if not key[1].startswith("JAX") else ""


def step_seconds(checkout: harness.Checkout, task: Task) -> float:
    """Of one member in a step: the mean of the epochs after the first. Some load the rows of others."""
    members, bytes_of_epoch = task.runs, 4 * task.rows * (task.features + 1) * task.runs
    epochs = max(task.epochs, 1 + ceil(LEAST_BYTES / bytes_of_epoch))
    many = ("-m", f"seed=range({members})", f"hydra.launcher.max_members={members}")
    stack = (*many, "hydra.launcher.workers=1", "hydra.sweep.dir=sweep")
    run = stack if members > 1 else ("ensemble=1", "hydra.run.dir=run")
    ends = ("test=false", f"trainer.max_epochs={epochs}", f"model.dropout={task.dropout}")
    answer = checkout.ask("child.train", *run, *overrides_of(task), *ends)
    return fmean(answer["epochs"][1:]) / task.steps / members
