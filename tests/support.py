"""What tests share: typed configurations, runs trained in this process, and commands that have ended."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import yaml
from hydra.core.override_parser.types import Override
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import SCALARS, TENSORS, EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor

from mlplab.composition.compose import Compose, composing, current_state, hydra_state, plain, put
from mlplab.composition.overrides import is_for_hydra, key_of, read_overrides
from mlplab.config import Mlp, Resolved, ResolvedConfig, TrainConfig, parse
from mlplab.data.cache import DataCache
from mlplab.data.infer.block_reader import TableReader
from mlplab.data.infer.infer_table import read_table
from mlplab.data.infer.table_spec import Role, TableSpec
from mlplab.data.io.source import Source, opened
from mlplab.data.table import Table
from mlplab.errors import MAX_CHARACTERS
from mlplab.models import MLP, FeatureLayout, NetworkPlan
from mlplab.models.targets import ClassProbabilities
from mlplab.runs import checkpoint, planned_run
from mlplab.runs.versions import VERSION
from mlplab.training.rungs import Bracket

ROOT = Path(__file__).resolve().parents[1]

CONCRETE = ROOT / "src/mlplab/data/concrete.csv"

SMALL = ("data=synthetic", "data.rows=60", "data.batch_size=16", "model.hidden=[8,8]", "baselines=[]")
SMALL += ("trainer.max_epochs=5",)


def values(*words: str) -> dict[str, Any]:
    """What `train.py` would compose of a command line without flags; of words for a key, the last counts.

    Each choice of options is composed once.
    """
    last = {key_of(word): word for word in words}
    overrides = parsed(*last.values())
    options = [str(each.input_line) for each in overrides if is_for_hydra(each)]
    cfg = pickle.loads(_composed(*options))  # a deep copy takes six times as long
    put(cfg, [each for each in overrides if not is_for_hydra(each)])
    return plain(cfg)


@cache
def _composed(*options: str) -> bytes:
    compose, state = _composer()
    with hydra_state(*state):
        return pickle.dumps(compose(parsed(*options)))


@cache
def _composer() -> tuple[Compose, tuple[Any, Any]]:
    with composing([ROOT / "conf"]) as compose:
        return compose, current_state()


def parsed(*overrides: str) -> list[Override]:
    return read_overrides(overrides, multirun=True)


def config(*overrides: str) -> TrainConfig:
    """The typed configuration that `train.py` would make of these overrides."""
    return parse(values(*overrides))


def resolved(*overrides: str, cache: DataCache | None = None) -> ResolvedConfig:
    """The same as in the run's folder: with what `auto` stands for, which the table decides."""
    return planned_run.resolved(config(*overrides), cache or DataCache())


def file_of(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    """A file with this content."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


def table_of(
    rows: pl.DataFrame | Path,
    target: str | Sequence[str] = "y",
    *,
    weight: str | None = None,
    more_roles: Sequence[tuple[str, Role]] = (),
    dtype: type[np.floating] = np.float32,
    **spec: Any,
) -> Table:
    """The table that a frame or a file becomes; further arguments are those of `TableSpec`."""
    targets = [target] if isinstance(target, str) else target
    roles: list[tuple[str, Role]] = [*((name, "target") for name in targets), *more_roles]
    roles += [(weight, "weight")] if weight else []
    is_frame = isinstance(rows, pl.DataFrame)
    with nullcontext(Source.of_frame("t", rows)) if is_frame else opened(rows) as source:
        return read_table(TableReader(source, TableSpec(tuple(roles), **spec), dtype))


def table_of_column(cells: Sequence[object], declared: str = "", **spec: Any) -> Table:
    """A table of 30 rows with these cells, repeated, in column `a`, beside a number and the target."""
    column = pl.Series("a", [cells[i % len(cells)] for i in range(30)], strict=False)
    frame = pl.DataFrame({"a": column, "x": [i // 2 for i in range(30)], "y": [0, *range(29)]})
    return table_of(frame, declared={"a": declared} if declared else {}, **spec)


def train_into(
    folder: Path, *members: Sequence[str], brackets: Sequence[Bracket | None] = ()
) -> list[dict[str, Any]]:
    """Trains runs as one stack into folders 0, 1, …; the contents of their metrics.json."""
    from mlplab.runs.train_runs import train_runs

    cache = DataCache()
    configs = [resolved(*overrides, cache=cache) for overrides in members]
    runs = [
        planned_run.PlannedRun(each, folder / str(index), bracket=bracket)
        for index, (each, bracket) in enumerate(zip_longest(configs, brackets))
    ]
    return train_runs(runs, cache, Console(file=io.StringIO()))


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


Command = Callable[..., Ended]


def process(arguments: Sequence[str], cwd: Path, stdin: str | None = None, **environment: str) -> Ended:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def without_notes(printed: str) -> str:
    """What a command printed, without what it uses and loads, and how many rows it predicted."""
    return re.sub(r"(?m)\A(using .*\n)?(loading .* …\n)?|^predicted [\d,]+ rows in .*\n", "", printed)


def assert_short_answer(ended: Ended, said: Sequence[str]) -> None:
    """A mistake was answered as promised: status 2, a few lines that say all this, and nothing else.

    Of several faults each may have a line of its own for its remedy.
    """
    assert ended.status == 2, ended
    for words in said:
        assert words in ended.err
    assert len(without_notes(ended.err).splitlines()) <= max(5, 2 * ended.err.count("error: "))
    assert len(ended.err) <= MAX_CHARACTERS
    assert "Traceback" not in ended.err
    assert without_notes(ended.out) == ""


def write_config(run: Path, values: Mapping[str, Any]) -> None:
    """Writes a run's config.yaml as a run does."""
    text = f"# mlplab {VERSION}\n{yaml.safe_dump(dict(values))}"
    (run / "config.yaml").write_text(text, encoding="utf-8")


def metrics_of(run: Path, file: str = "metrics") -> dict[str, Any]:
    """What a run's metrics.json contains, or another such file."""
    return dict(json.loads((run / f"{file}.json").read_text()))


def status_of(run: Path) -> str:
    return str(metrics_of(run)["status"])


def events_of(folder: Path) -> EventAccumulator:
    """What TensorBoard reads from a run's folder."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0, TENSORS: 0})
    if any(folder.glob("events.out.tfevents.*")):  # not where a run has no such logger
        events.Reload()
    return events


def hparams_of(run: Path) -> dict[str, object]:
    """The values that TensorBoard's HParams tab shows of a run."""
    data = HParamsPluginData()
    metadata = events_of(run).SummaryMetadata(SESSION_START_INFO_TAG)
    data.ParseFromString(metadata.plugin_data.content)
    values = data.session_start_info.hparams.items()
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in values}


def left_behind(folder: Path) -> dict[str, Any]:
    """All that a run left that does not tell when it was, as values that can be compared bit by bit."""
    metrics = json.loads((folder / "metrics.json").read_text())
    events = events_of(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    log = (folder / "train.log").read_text().splitlines()
    return {
        "metrics": {name: value for name, value in metrics.items() if name != "seconds"},
        "curves": {
            tag: sorted((point.step, point.value) for point in events.Scalars(tag))  # of several files
            for tag in events.Tags()["scalars"]
        },
        "config": {key: value for key, value in config.items() if key != "name"},
        "weights": {
            path.name: {name: each.numpy().tobytes() for name, each in checkpoint.load(path)["state"].items()}
            for path in sorted((folder / "checkpoints").iterdir())
        },
        "files": sorted(path.relative_to(folder).name.split(".1")[0] for path in folder.rglob("*")),
        "log": [line.partition("  ")[2].partition("; ")[0] for line in log],
    }


def class_probabilities(
    classes: int, members: int, dtype: torch.dtype = torch.float32, class_weight: Tensor | None = None
) -> ClassProbabilities:
    """The last layer of networks of classes."""
    layout = FeatureLayout((), (), classes=classes)
    return ClassProbabilities(NetworkPlan([], range(members), layout, dtype, class_weight=class_weight))


def mlp_of(
    features: int,
    targets: int,
    *,
    seeds: Sequence[int],
    activation: str | Sequence[str] = "relu",
    dropout: Sequence[float] = (),
    columns: Sequence[int] | None = None,
    numeric_features: int = 0,
    knots: Tensor | None = None,
    **shape: object,
) -> MLP:
    """A perceptron of this shape; the values that are left out are the plainest."""
    names = [activation] * len(seeds) if isinstance(activation, str) else activation
    plain: dict[str, Any] = {"hidden": [], "norm": "none", "residual": False, "periodic_features": 0}
    sections = [
        Mlp[Resolved].model_construct(**plain | shape | {"activation": name, "dropout": rate})
        for name, rate in zip(names, dropout or [0.0] * len(seeds), strict=True)
    ]
    sources = range(features) if columns is None else columns
    return MLP(sections, seeds, sources, targets, numeric_features, knots)
