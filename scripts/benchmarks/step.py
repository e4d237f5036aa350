"""What does an optimizer step cost?

step      one step of one network: alone and in a stack, with and without dropout, beside a plain PyTorch
          loop, Lightning as usually written, scikit-learn, and the matrix products alone at the core's best
          rate
  shapes=2-4-1@1000/1000,8-64-64-1@100/10000   layers, rows of a step, and training rows
  members=64     numbers of networks in the stacks
  dropout=0.1    0: without these
"""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from benchmarks import harness
from benchmarks.checkout import Checkout
from benchmarks.peers import Task

PEERS = {
    "plain PyTorch": "torch_peers.plain_step",
    "Lightning": "torch_peers.lightning_step",
    "scikit-learn": "peers.sklearn_step",
    "products alone": "torch_peers.products",
}
"""Their functions by name; the first is the base of ratios."""

SAME_ARITHMETIC = ("optimizer=adam", "scheduler=constant", "model.periodic_features=0", "figures=none")
"""As the peers have it."""


def task_of(shape: str) -> Task:
    """Reads `8-64-64-1@100/10000`; the number of epochs is left out."""
    layers, _, sizes = shape.partition("@")
    features, *hidden, outputs = map(int, layers.split("-"))
    batch, rows = map(int, sizes.split("/"))
    if outputs != 1 or not hidden:
        raise ValueError(f"a shape has hidden layers and one output, as 8-64-64-1@100/10000 (found {shape})")
    return Task(features, hidden, batch, rows, epochs=0)


def overrides_of(task: Task) -> tuple[str, ...]:
    """What makes `train.py` train such a network on as many rows."""
    return (
        *("data=synthetic", "data.function=product", f"data.features={task.features}", *SAME_ARITHMETIC),
        *(f"data.rows={round(task.rows / 0.8)}", "data.split.val=0.1", "data.split.test=0.1"),
        *(f"model.hidden=[{','.join(map(str, task.hidden))}]", f"data.batch_size={task.batch}"),
    )


Shape = Annotated[str, AfterValidator(lambda shape: shape if task_of(shape) else "")]


class Step(harness.Benchmark):
    """The arguments of this benchmark."""

    shapes: Annotated[tuple[Shape, ...], BeforeValidator(harness.split)] = (
        "2-4-1@1000/1000",
        "8-64-64-1@100/10000",
        "8-128-128-128-1@32/10000",
        "8-256-256-256-1@256/10000",
    )
    members: harness.Counts = (64,)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


def measure(arguments: Step) -> None:
    """Times every contender with every shape."""
    harness.needs("step", "sklearn")
    contenders: dict[harness.Key, harness.Contender] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for shape in arguments.shapes:
            task = task_of(shape)
            for checkout in arguments.checkouts:
                for members in dict.fromkeys((1, *arguments.members)):
                    label = f"{checkout.name}, {members}"
                    step = partial(step_seconds, checkout, folder, task, members)
                    contenders[shape, label] = step
                    if arguments.dropout:
                        dropout = f"model.dropout={arguments.dropout}"
                        contenders[shape, f"{label}, dropout"] = partial(step, dropout)
            ask = partial(arguments.checkouts[0].ask, folder=folder)
            words = json.dumps(asdict(replace(task, epochs=_epochs(task, 1))))
            for peer, function in PEERS.items():
                contenders[shape, peer] = partial(ask, function, words)
        times = harness.alternate(contenders, arguments.repeats)
    base = next(iter(PEERS))
    caption = "mlplab, N: in a stack of N networks"
    table = harness.comparison("seconds of a step of one network", times, base, caption=caption)
    harness.report("step", arguments, [table], times)


def step_seconds(checkout: Checkout, folder: Path, task: Task, members: int, *overrides: str) -> float:
    """Of one member in a step: the median epoch after the first."""
    with TemporaryDirectory(dir=folder) as name:
        many = ("-m", f"seed=range({members})", f"hydra.launcher.max_members={members}")
        stack = (*many, "hydra.launcher.workers=1", f"hydra.sweep.dir={name}/sweep")
        run = stack if members > 1 else ("ensemble=1", f"hydra.run.dir={name}/run")
        epochs = f"trainer.max_epochs={_epochs(task, members)}"
        words = (*run, *overrides_of(task), "test=false", epochs, *overrides)
        answer = checkout.ask("child.train", *words, folder=folder)
    return median(answer["epochs"][1:]) / task.steps / members


def _epochs(task: Task, members: int) -> int:
    """The first is not timed."""
    most, steps = (100, 300) if members == 1 else (20, 60)
    return 1 + max(2, min(most, steps // task.steps))
