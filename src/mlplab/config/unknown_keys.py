"""What to type instead of a key that does not exist."""

from collections.abc import Sequence

from pydantic import BaseModel

from mlplab.config.dotted_keys import all_keys
from mlplab.config.run import TrainConfig
from mlplab.config.sweep import Launcher, Sweep
from mlplab.errors import Fault, did_you_mean, listed, nearest

HIDDEN = ("hidden_layers", "hidden_layer_sizes", "layers", "width", "depth", "max_depth")

# Names of keys in other programs (in any section), and the keys here.
SYNONYMS = dict.fromkeys(HIDDEN, "model.hidden") | {
    "learning_rate": "optimizer.lr",
    "device": "trainer.accelerator",
    "devices": "hydra.launcher.workers",
    "batch": "data.batch_size",
    "patience": "callbacks.early_stopping.patience",
    "file": "data.path",
    "input": "data.path",
    "label": "data.target",
    "test_size": "data.split.test",
}

# Names of time limits in other programs, and what limits the time here.
LIMITS = ("max_time", "time_limit", "timeout", "time_budget")
LIMIT_REMEDY = "a search (-m sweep=mlp) ends after sweep.minutes=…, a run after trainer.max_epochs=…"

# Keys of earlier versions, and what to do instead.
REMOVED = dict.fromkeys(
    ("sweep.ensemble", "select"),
    "remove it; afterwards, runs=N averages the N best runs: mlplab evaluate run=SWEEP runs=N",
)

UNKNOWN_KEY = "unknown key"


class CommandLine(TrainConfig):
    """All keys of the command line but Hydra's own."""

    sweep: Sweep


def unknown_key(key: str, root: type[BaseModel] = CommandLine) -> Fault:
    """The fault of a `key` that does not exist, or that belongs to a different option of its group."""
    owners, (section, _, leaf) = all_keys(root), key.rpartition(".")
    synonym = SYNONYMS.get(leaf)
    if key in REMOVED:
        remedy = REMOVED[key]
    elif section.startswith("hydra"):
        near = nearest(key, [f"hydra.launcher.{name}" for name in all_keys(Launcher)])
        remedy = did_you_mean(near, otherwise="--hydra-help describes Hydra's own keys")
    elif owners.get(key):
        group = section.replace(".", "/")
        remedy = f"{key} belongs to " + " or ".join(f"{group}={option}" for option in owners[key])
        if "csv" in owners[key]:
            remedy += "; for your own table, add data=csv" + " data.path=FILE" * (key != "data.path")
    elif synonym and (synonym in owners or synonym.startswith("hydra.")):
        remedy = did_you_mean([synonym])
    elif leaf in LIMITS:
        remedy = LIMIT_REMEDY
    elif near := _similar(key, [full for full in owners if not key.startswith(f"{full}.")]):
        remedy = did_you_mean(near)
    else:
        siblings = [full for full in owners if full.rpartition(".")[0] == section]
        is_short = root is not CommandLine  # a command with few keys, all of which can be listed
        known = siblings or [full for full in owners if "." not in full]
        remedy = f"the keys here are: {listed(owners if is_short else known, 20)}"
    return Fault(UNKNOWN_KEY, where=key, remedy=remedy)


def _similar(key: str, owners: Sequence[str]) -> list[str]:
    """The keys that are nearly an unknown one; else those with words of its last part, or a similar one.

    In its section, one word of several is enough.
    """
    section, _, leaf = key.rpartition(".")
    here = [full for full in owners if full.rpartition(".")[0] == section]
    leaves = {full.rpartition(".")[2]: full for full in (*reversed(owners), *here)}
    words = {name: {*name.split("_")} for name in (leaf, *leaves)}
    sharing = [name for name in leaves if words[leaf] <= words[name] or words[name] <= words[leaf]]
    sharing += [name for name in leaves if leaves[name] in here and words[leaf] & words[name]]
    sharing.sort(key=lambda name: (len(words[leaf] ^ words[name]), leaves[name] not in here))
    return nearest(key, owners, 0.85) or [leaves[name] for name in sharing or nearest(leaf, leaves)]
