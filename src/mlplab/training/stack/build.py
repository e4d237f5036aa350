"""Builds what the runs of a stack train with: their batches, their network, and its initial weights."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch.func import functional_call

from mlplab import config
from mlplab.cpu_settings import one_thread
from mlplab.data.batches.datamodule import TableDataModule
from mlplab.data.cache import RunData, in_one_table
from mlplab.data.class_labels import weights_by_class
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows, Split, sample_rows
from mlplab.data.statistics import member_statistics
from mlplab.data.table import Table
from mlplab.errors import Fault, UserError
from mlplab.models import MLP, FeatureLayout, Network, NetworkPlan, build_network
from mlplab.models.backpropagation import BackpropagationModule
from mlplab.models.layers.linear import ROWS
from mlplab.models.linear_models import Columns, Embedded, Ridge, Solution, Targets, Weight, logistic, mixed
from mlplab.models.linear_path import LinearPath
from mlplab.models.network_plan import ClassWeight
from mlplab.random_streams import generator
from mlplab.training.block_module import BlockModule
from mlplab.training.run import Configs, InitialWeights, Run, member_configs
from mlplab.training.scoring.losses import check_custom_losses
from mlplab.training.step_loop import Blocks, parts_of
from mlplab.training.trainer import choose_accelerator, has_step_hooks

BLOCK_BYTES = 2**21  # bytes of the rows of a block of steps

# What a run computes itself: linear share, temperature, class weights, the range of its targets.
OF_TARGET = ("temperature", "class_weight", "minimum", "maximum")
OF_RUN = ["linear_path.share", *(f"preprocessing.target_transform.{name}" for name in OF_TARGET)]


def build_stack(runs: Sequence[Run], *, initialize: bool = True) -> tuple[BlockModule, TableDataModule]:
    """Builds the network and the batches of runs with ensembles of equal size.

    Their tables may differ in rows and offsets. Then the stack trains on a table with the rows of all.

    Args:
        initialize: whether to compute statistics and initial weights. A training state replaces both.

    Raises:
        UserError: if the network cannot be built.
    """
    configs = [member for run in runs for member in member_configs(run.config)]
    joined = in_one_table([member for run in runs for member in run.data.members])
    first, table, splits = configs[0], joined[0].table, [member.split for member in joined]
    datamodule = build_datamodule(configs, table, splits)
    check_equal_rows(first, splits)
    network = build_stack_network(configs, joined, initialize=initialize)
    if initialize:
        for number, run in enumerate(runs):
            if run.initial:
                places = dict(enumerate(run.initial.places, number * first.ensemble))
                start_from(network, run.initial, places, run.data.table.schema)
    if blocks := _blocks(first, network, datamodule):
        datamodule.steps_of_block = blocks.steps
        datamodule.epochs = range(first.trainer.max_epochs) if blocks.span_epochs else None
    return BlockModule(network, configs, datamodule, blocks), datamodule


def build_datamodule(configs: Configs, table: Table, splits: Sequence[Split]) -> TableDataModule:
    """The batches of networks with these configurations and splits."""
    first, seeds = configs[0], [member.seed for member in configs]
    fill = not isinstance(first.model, config.CustomModel)
    together = 1024 if table.memmapped else None  # consecutive rows that are read together
    return TableDataModule(table, splits, seeds, first.data.batch_size, fill=fill, file_block=together)


@torch.no_grad()
def start_from(network: Network, initial: InitialWeights, places: Mapping[int, int], schema: Schema) -> None:
    """Copies trained weights and their preprocessing to members of a network.

    Args:
        places: by the number of a member, which of the trained networks it starts from.
    """
    old, new = torch.tensor([initial.offsets, schema.offsets], dtype=torch.float64)
    for member, place in places.items():
        for name, tensor in network.state_dict().items():
            if name not in OF_RUN:
                tensor[member] = initial.state[name][place]
        network.shift(member, old - new)  # the columns may have different offsets


def _blocks(run: config.ResolvedConfig, network: Network, datamodule: TableDataModule) -> Blocks | None:
    """How training is divided into blocks; None if the Trainer has to make each step."""
    wanted, body, rows = run.trainer.block, network.body, datamodule.batch_size
    is_plain = isinstance(body, BackpropagationModule) and body.written_out
    callbacks = run.callbacks.added.values()
    is_watched = run.trainer.fast_dev_run or any(has_step_hooks(added.class_path) for added in callbacks)
    if wanted == 1 or not is_plain or is_watched:
        return None
    step_bytes = len(datamodule.seeds) * rows * (datamodule.x[0].nbytes + datamodule.y[0].nbytes)
    steps = max(1, BLOCK_BYTES // step_bytes) if wanted == "auto" else wanted
    acts_on_steps = run.trainer.log_every_n_steps or run.callbacks.checkpoint.every_minutes == 0
    together = acts_on_steps or choose_accelerator(run.trainer) == "cuda"  # parts fit a processor's cache
    parts = [slice(len(datamodule.seeds))] if together else parts_of(network, rows)
    most = run.trainer.max_epochs if not callbacks and datamodule.file_block is None else 1
    epochs = max(1, min(steps // datamodule.steps, most))
    return Blocks(min(steps, epochs * datamodule.steps), parts, span_epochs=not callbacks)


def check_equal_rows(run: config.ResolvedConfig, splits: Sequence[Split]) -> None:
    """Checks that members have equally many training rows, unless their batches may be padded.

    That may be done with rows of weight 0 if a network treats each row separately. A custom one may not.
    """
    if not isinstance(run.model, config.CustomModel) or len({len(split.train) for split in splits}) == 1:
        return
    what = "custom networks cannot have different numbers of training rows"
    remedy = "use ensemble=1, or a split without groups and time"
    raise UserError(Fault(what, f"ensemble={run.ensemble}", remedy=remedy))


def build_stack_network(configs: Configs, data: Sequence[RunData], *, initialize: bool) -> Network:
    """The network of members with these configurations and data; `initialize` as in `build_stack`."""
    first, table, seeds = configs[0], data[0].table, [member.seed for member in configs]
    section, schema, statistics = first.model.preprocessing, table.schema, None
    train = [member.split.train for member in data]
    if initialize:
        quantiles, log_target = section.name == "quantile", section.target == "log"
        bins = first.model.piecewise_linear_bins if isinstance(first.model, config.Mlp) else 0
        statistics = member_statistics(table, train, quantiles=quantiles, bins=bins, log_target=log_target)
    sizes = len(schema.targets), len(schema.classes), first.quantiles
    layout = FeatureLayout(schema.category_counts, schema.missing, *sizes)
    models, dtype = [member.model for member in configs], getattr(torch, f"float{first.trainer.precision}")
    plan = NetworkPlan(models, seeds, layout, dtype, statistics, class_weights(configs, data))
    network = build_network(plan)
    check_custom_losses([member.loss for member in configs], schema)
    if initialize:
        fit_linear_path(network, table, train)
        if isinstance(first.model, config.Mlp) and first.model.initial_weights == "data":
            initialize_by_data(network, table, train, seeds)
    return network


def class_weights(configs: Configs, data: Sequence[RunData]) -> ClassWeight:
    """The weight of each class in each member's loss; None if all are 1.

    They are scaled so that the mean weight of a member's training rows is 1; row weights count.
    """
    wanted = configs[0].data.class_weights  # the same for all members
    if wanted == "none":
        return None
    table = data[0].table
    classes, scaled = table.schema.classes, []
    for rows in (member.split.train for member in data):
        row_weight = None if table.weight is None else table.weight[rows]
        counts = np.bincount(table.y[rows, 0].astype(np.int64), row_weight, len(classes)).astype(float)
        weights = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)  # balanced
        if isinstance(wanted, dict):
            weights = np.array([*weights_by_class(wanted, classes).values()])
        scaled.append(torch.from_numpy(weights * counts.sum() / (weights * counts).sum()))
    return torch.stack(scaled)[:, None]


# Rows × columns × outputs that a linear model is fitted to, so that this takes seconds at most.
MOST_VALUES = 2**22

# The error of ridge regression with a column for each category has to be so much smaller than without them;
# and it may have so many columns.
FEWER_ERRORS, MOST_COLUMNS = 0.5, 500


@torch.no_grad()
@one_thread()
def fit_linear_path(network: Network, table: Table, train: Sequence[Rows]) -> None:
    """Fits the linear path of a network, if it has one, to (a sample of) each member's training rows.

    Members with the same array of rows get the same map.
    """
    path, solutions = network.linear_path, dict[int, Solution]()
    if path is None:
        return
    for member, rows in enumerate(train):
        if id(rows) not in solutions:
            solutions[id(rows)] = _linear_model(network, path, table, member, rows)
        path.set(member, solutions[id(rows)])
        if path.residual[member].any():  # so that it begins as the linear model
            assert isinstance(network.body, MLP)
            for parameter in network.body.output.parameters():
                parameter[member] = 0


def _linear_model(network: Network, path: LinearPath, table: Table, member: int, rows: Rows) -> Solution:
    """The linear model of a member.

    Of numbers, categories with embeddings are columns of ridge regression if that is nearly exact with them
    alone. If it is so without them, they have no weights.
    """
    preprocessing = network.preprocessing
    members, columns, outputs = path.weight.shape
    state = {name: each[member : member + 1] for name, each in preprocessing.state_dict().items()}
    counts = preprocessing.category_counts if path.category_weight.shape[1] else []

    def fitted(fit: Callable[[Columns, Embedded, Targets, Weight], Solution], more: int) -> Solution:
        values = max(columns + more, 1) * outputs
        sample = sample_rows(rows, max(MOST_VALUES // values, 1))
        x, y = torch.from_numpy(table.x[sample])[None], torch.from_numpy(table.y[sample])[None]
        weight = torch.ones_like(y[..., :1])
        if table.weight is not None:
            weight = torch.from_numpy(table.weight[sample])[None, :, None]
        transform, y = preprocessing.target_transform, y.expand(members, -1, -1)
        weights = transform.loss_weight(y, weight.expand(members, -1, -1))
        assert weights is not None
        inputs = functional_call(preprocessing, state, x)
        used, y = weights[member][:, 0] > 0, transform.transform(y)[member].double()
        numbers, known = (each[0, used, : len(counts)] for each in (inputs.embedded_rows, inputs.known))
        embedded = Embedded(numbers, known, counts)
        return fit(inputs.unscaled[0, used].double(), embedded, y[used], weights[member, used])

    def ridge(x: Columns, embedded: Embedded, y: Targets, weight: Weight) -> Solution:
        return Ridge(x, weight).fit(y)

    def one_hot(x: Columns, embedded: Embedded, y: Targets, weight: Weight) -> Solution:
        categories = x.new_zeros(len(x), sum(counts)).scatter_(1, embedded.numbers, embedded.known.double())
        return Ridge(torch.cat([x, categories], 1), weight).fit(y)

    if classes := len(table.schema.classes):
        return fitted(partial(logistic, classes), len(counts))
    solution = fitted(ridge, 0)
    if 0 < sum(counts) <= MOST_COLUMNS - columns:
        more = fitted(one_hot, sum(counts))
        if more.residual.all() and (more.error < FEWER_ERRORS * solution.error).all():
            return more
    return fitted(mixed, len(counts)) if counts and not solution.residual.all() else solution


@torch.no_grad()
def initialize_by_data(network: Network, table: Table, train: Sequence[Rows], seeds: Sequence[int]) -> None:
    """Draws the initial weights of a network by training rows of each member.

    They are drawn with replacement, those with a higher weight more often.
    """
    sources = [generator(seed, "initial rows") for seed in seeds]
    drawn = [_draw(rows, table, source) for rows, source in zip(train, sources, strict=True)]
    x = torch.from_numpy(table.x[np.stack(drawn)])
    assert isinstance(network.body, MLP)
    network.eval()  # without dropout
    network.body.initialize(network.preprocessing.with_embeddings(network.preprocessing(x)), seeds)
    network.train()


def _draw(rows: Rows, table: Table, source: torch.Generator) -> Rows:
    if table.weight is None:
        return rows[torch.randint(len(rows), (ROWS,), generator=source).numpy()]
    below = table.weight[rows].cumsum()
    shares = torch.rand(ROWS, generator=source).double().numpy()  # of float32: none becomes 1 by rounding
    return rows[below.searchsorted(shares * below[-1], side="right")]
