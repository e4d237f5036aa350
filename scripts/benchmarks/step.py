"""The time of an optimizer step, by the shape of the network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from rich.table import Table

from benchmarks import lightning_usual, limit, ours, plain, sklearn_grid
from benchmarks.arguments import Benchmark, Count
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, ratio, shown
from mlplab.training.cpu_settings import cpu_settings_for_training

MEMBERS = 64
OURS, STACKED = "mlplab, one run", f"mlplab, {MEMBERS} runs: of one in a step"
DROPOUT, STACKED_DROPOUT = f"{OURS}, dropout 0.1", f"{STACKED}, dropout 0.1"
PLAIN, USUAL, SKLEARN = "plain PyTorch loop", "Lightning as usually written", "scikit-learn"
LIMIT = "the matrix products alone"


class Step(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 4
    output: str = "outputs/benchmarks/step.json"


@dataclass(frozen=True)
class Shape:
    """A network, its table and its batches; epochs of one run and of a stack, the first not timed."""

    name: str
    features: int
    hidden: tuple[int, ...]
    batch: int
    overrides: tuple[str, ...]
    epochs: int
    stack_epochs: int

    def contenders(self) -> dict[Key, Callable[[], float]]:
        """Each gives the seconds of a step of one network."""
        overrides = (*self.overrides, *ours.shape(self.hidden, self.batch))
        rows = ours.rows_of(ours.config(*overrides))
        peer = (rows, self.hidden, self.batch, self.epochs)

        def mlplab(members: int, epochs: int, *further: str) -> Callable[[], float]:
            return partial(_seconds, (*overrides, f"trainer.max_epochs={epochs}", *further), members)

        dropout = "model.dropout=0.1"
        return {
            (self.name, OURS): mlplab(1, self.epochs),
            (self.name, DROPOUT): mlplab(1, self.epochs, dropout),
            (self.name, STACKED): mlplab(MEMBERS, self.stack_epochs),
            (self.name, STACKED_DROPOUT): mlplab(MEMBERS, self.stack_epochs, dropout),
            (self.name, PLAIN): partial(plain.step_seconds, *peer),
            (self.name, USUAL): partial(lightning_usual.step_seconds, *peer),
            (self.name, SKLEARN): partial(sklearn_grid.step_seconds, *peer),
            (self.name, LIMIT): lambda: self.flop / limit.matrix_rate(),
        }

    @property
    def flop(self) -> int:
        """Of one network in one step."""
        return limit.step_flop(self.features, self.hidden, self.batch)


ARTICLE = ("experiment=article", "data.rows=1250", *ours.SPLIT)
WIDE_TABLE = (*ours.TABLE, *ours.SAME_ARITHMETIC)
SHAPES = (
    Shape("2-4-1, 1000 rows a step, all in one", 2, (4,), 1000, ARTICLE, epochs=101, stack_epochs=21),
    Shape("8-64-64-1, 100 rows a step of 10,000", 8, (64, 64), 100, WIDE_TABLE, epochs=6, stack_epochs=3),
    Shape(
        "8-128-128-128-1, 32 rows a step of 10,000", 8, (128,) * 3, 32, WIDE_TABLE, epochs=3, stack_epochs=2
    ),
    Shape(
        "8-256-256-256-1, 256 rows a step of 10,000", 8, (256,) * 3, 256, WIDE_TABLE, epochs=4, stack_epochs=2
    ),
)


def measure(arguments: Step) -> Report:
    """Times every contender on every shape."""
    contenders = {key: each for shape in SHAPES for key, each in shape.contenders().items()}
    with cpu_settings_for_training(threads=1):  # as ours does, for all
        times = alternate(contenders, arguments.repeats)
    tables = [_table(shape.name, times) for shape in SHAPES]
    return Report(arguments, tables, times, {"flop": {shape.name: shape.flop for shape in SHAPES}})


def _seconds(overrides: Sequence[str], members: int) -> float:
    """Of one of our members in a step: the median epoch after the first."""
    trained = ours.train_timed(overrides, members)
    return median(epoch.seconds / len(epoch.steps) for epoch in trained[1:]) / members


def _table(shape: str, times: dict[Key, Times]) -> Table:
    table = grid(shape, "seconds of a step", "median", "min – max", "of the plain loop", "of the products")
    plain_loop, products = times[shape, PLAIN], times[shape, LIMIT]
    for (of, name), each in times.items():
        if of == shape:
            ratios = ratio(each, plain_loop), ratio(each, products)
            table.add_row(str(name), shown(each.median), each.spread(), *ratios)
    return table
