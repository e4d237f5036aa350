"""What does a whole sweep over seeds cost?

sweep     whole processes of several sizes; beside Lightning, GridSearchCV, and JAX, which writes no files
  runs=1,64,512  sizes of the sweep; 1 is a single run
  peers=4,12     sizes of Lightning and GridSearchCV; the others are extrapolated, with ≈; none: no peers
  variants='two: hydra.launcher.workers=2; drawn: figures=all'   mlplab with further overrides, by name
  shape=8-64-64-1@100/10000 epochs=10   of each run
  cores=1        for sweeps with several workers
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Annotated

from pydantic import Field

from benchmarks import harness
from benchmarks.peers import Task
from benchmarks.step import Shape, overrides_of, task_of

PEERS = {"Lightning": "torch_peers.lightning_sweep", "GridSearchCV": "peers.sklearn_sweep"}
"""Functions of those whose time grows with each run, by name."""


class Sweep(harness.Benchmark):
    runs: harness.Counts = (1, 64, 512)
    peers: Annotated[harness.Counts, Field(max_length=2)] = (4, 12)
    variants: harness.Variants = Field(default_factory=dict)
    shape: Shape = "8-64-64-1@100/10000"
    epochs: harness.Count = 10
    cores: harness.Count = 1


def measure(arguments: Sweep) -> None:
    if arguments.peers:
        harness.needs("jax")
    harness.use_cores(arguments.cores)
    task, first = replace(task_of(arguments.shape), epochs=arguments.epochs), arguments.checkouts[0]
    contenders: harness.Contenders = {}

    def peer(function: str, runs: int) -> harness.Contender:
        return partial(first.run, *first.asking(function, replace(task, runs=runs).json()))

    for runs in arguments.runs:
        for checkout in arguments.checkouts:
            sweep = partial(_seconds, checkout, replace(task, runs=runs))
            contenders[f"{runs} runs", checkout.name] = sweep
            for variant, overrides in arguments.variants.items():
                contenders[f"{runs} runs", f"{checkout.name}, {variant}"] = partial(sweep, *overrides)
        if arguments.peers:  # JAX at all sizes: most of its time goes into compiling
            contenders[f"{runs} runs", "JAX"] = peer("jax_peers.jax_sweep", runs)
    for runs, (name, function) in product(arguments.peers, PEERS.items()):
        contenders[f"{runs} runs", name] = peer(function, runs)
    times = harness.alternate(contenders, arguments.repeats)
    times |= extrapolated(times, arguments.peers, arguments.runs)
    more = {"a run": lambda key: harness.show_seconds(times[key].median() / int(key[0].split()[0]))}
    title = f"sweeps as processes, {arguments.shape}, {arguments.epochs} epochs"
    harness.report(arguments, times, harness.comparison(title, times, first.name, None, **more))


def _seconds(checkout: harness.Checkout, task: Task, *overrides: str) -> float:
    changed = {override.partition("=")[0] for override in overrides}
    words = [word for word in overrides_of(task) if word.partition("=")[0] not in changed]
    many = ("-m", f"seed=range({task.runs})", "hydra.sweep.dir=sweep")
    where = many if task.runs > 1 else ("hydra.run.dir=run",)
    return checkout.run("train.py", *where, *words, f"trainer.max_epochs={task.epochs}", *overrides)


def extrapolated(
    times: Mapping[harness.Key, harness.Times], sizes: Sequence[int], wanted: Sequence[int]
) -> dict[harness.Key, harness.Times]:
    """The peers' times at other sizes, on the line through the times of two, repeat by repeat."""
    lines: dict[harness.Key, harness.Times] = {}
    for peer, runs in product(PEERS, (runs for runs in wanted if runs not in sizes)):
        if len(sizes) == 2:
            of_sizes = [[answer["seconds"] for answer in times[f"{n} runs", peer].answers] for n in sizes]
            share = (runs - sizes[0]) / (sizes[1] - sizes[0])
            seconds = [low + share * (high - low) for low, high in zip(*of_sizes, strict=True)]
            lines[f"{runs} runs", f"≈ {peer}"] = harness.Times([{"seconds": each} for each in seconds])
    return lines
