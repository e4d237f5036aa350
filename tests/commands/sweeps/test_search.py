"""`train.py -m` with a search, as users run it."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import yaml
from commands.mistakes import Mistake, assert_refused, each
from optuna.trial import TrialState
from support import SMALL, Ended, left_behind

from mlplab.runs.discovery import BEST_TRIAL_FILE, read_metrics

Command = Callable[..., Ended]

SPACE = ("optimizer.lr=tag(log,interval(1e-3,1e-1))", "model.dropout=interval(0,0.5)")
SEARCH = ("-m", *SMALL, "monitor=val/rmse", "name=s", *SPACE, "sweep.batch=4")


def states_of(root: Path) -> list[TrialState]:
    """The states of a study's trials, as Optuna's own functions load them."""
    import optuna

    backend = optuna.storages.journal.JournalFileBackend(str(root / "study.journal"))
    storage = optuna.storages.JournalStorage(backend)
    return [trial.state for trial in optuna.load_study(study_name="search", storage=storage).trials]


def test_a_search_is_summarised_and_its_best_trial_can_be_trained_again(
    command: Command, tmp_path: Path
) -> None:
    common = [word for word in SEARCH if not word.startswith(("model.hidden", "baselines"))]
    shapes = ("model.hidden=choice([8,8],[4])", "sweep.trials=4", "sweep.ensemble=2")
    ended = command(*common, *shapes, "baselines=[linear]")
    assert ended.status == 0, ended.err
    root = tmp_path / "outputs/s"
    assert states_of(root) == [TrialState.COMPLETE] * 4
    metrics = {run.name: {**read_metrics(run), "seconds": 0} for run in sorted(root.glob("trial-*"))}
    best = yaml.safe_load((root / BEST_TRIAL_FILE).read_text())
    values = {name: each["val/rmse"] for name, each in metrics.items()}
    assert values[best["trial"]] == best["value"] == min(values.values())
    tested = [name for name, each in metrics.items() if "test/rmse" in each]
    assert tested == [best["trial"]]  # the test rows were scored once
    assert (root / "ensemble-2.json").is_file()

    for words in ("4 trials: 4 done", best["trial"], "chosen ensemble", "ridge", best["command"]):
        assert words in ended.out
    assert best["command"].replace("ensemble=1", "ensemble=8") in ended.out.splitlines()
    assert max(map(len, ended.out.split("sweep folder")[0].splitlines())) <= 80

    words = shlex.split(best["command"])
    again = command(*words[words.index(next(word for word in words if "=" in word)) :], "name=again")
    assert again.status == 0
    assert {**read_metrics(tmp_path / "outputs/again"), "seconds": 0} == metrics[best["trial"]]


def test_a_search_is_extended_but_not_changed(command: Command, tmp_path: Path) -> None:
    root, table = tmp_path / "outputs/s", tmp_path / "t.csv"
    table.write_text("a,y\n" + "".join(f"{n},{n * n % 17}\n" for n in range(60)))
    of_table = ("data=csv", "data.path=t.csv", "data.target=y", "data.batch_size=16", *SMALL[3:])
    search = ("-m", *of_table, *SPACE, "sweep.batch=4", "name=s")
    assert command(*search, "sweep.trials=2").status == 0
    written = {path: path.stat().st_mtime_ns for path in root.glob("trial-*/checkpoints/best.ckpt")}
    ended = command(*search, "sweep.trials=3")
    assert (ended.status, "3 trials: 3 done" in ended.out) == (0, True)
    assert len(states_of(root)) == len(list(root.glob("trial-*"))) == 3
    assert {path: path.stat().st_mtime_ns for path in written} == written

    # The first trial is the run without the search, but for its name in the log.
    assert command(*of_table, "name=alone", "ensemble=1", "test=false").status == 0
    first, alone = (left_behind(tmp_path / "outputs" / name) for name in ("s/trial-0000", "alone"))
    assert first | {"log": alone["log"]} == alone

    table.write_text(table.read_text().replace("\n3,9\n", "\n3,8\n"))
    ended = command(*search)
    assert (ended.status, "t.csv: has changed since training" in ended.err) == (2, True)


def test_trials_that_fail_do_not_end_a_search_but_its_exit_code_is_1(
    command: Command, tmp_path: Path
) -> None:
    ended = command(*SEARCH, "loss=choice(auto,cross_entropy)", "sweep.trials=8", "sweep.sampler=random")
    assert ended.status == 1
    states = states_of(tmp_path / "outputs/s")  # a batch has one loss, and cross entropy is not for numbers
    assert states == [TrialState.COMPLETE] * 4 + [TrialState.FAIL] * 4
    assert "8 trials: 4 done, 4 failed" in ended.out
    assert "4 of 8 trials failed" in ended.err
    assert "trial-0004: loss=cross_entropy: is for classes" in ended.err


def test_trials_that_are_behind_are_pruned(command: Command, tmp_path: Path) -> None:
    common = [word for word in SEARCH if not word.startswith(("trainer.max_epochs", "sweep.batch"))]
    ended = command(*common, "sweep.trials=8", "sweep.pruning=halving", "trainer.max_epochs=9")
    assert ended.status == 0, ended.err
    root = tmp_path / "outputs/s"
    pruned = [found for run in root.glob("trial-*") if (found := read_metrics(run))["status"] == "pruned"]
    assert pruned
    assert all(found["epochs"] == {1: 1, 2: 3}[found["rung"]] for found in pruned)
    assert f"{len(pruned)} pruned" in ended.out
    assert states_of(root).count(TrialState.PRUNED) == len(pruned)


def test_a_search_ends_at_its_time_with_several_trials(command: Command, tmp_path: Path) -> None:
    """Of networks whose training would take hours, in stacks of two."""
    common = [word for word in SEARCH if not word.startswith("trainer.max_epochs")]
    patient = ("callbacks.early_stopping.patience=1000000", "trainer.max_epochs=10000000")
    stacks = ("hydra.launcher.max_members=2", "hydra.launcher.workers=1")
    ended = command(*common, *patient, *stacks, "sweep.minutes=0.001")
    assert ended.status == 0, ended.err
    root = tmp_path / "outputs/s"
    assert states_of(root) == [TrialState.COMPLETE] * 4
    reasons = {run.name: read_metrics(run)["reason"] for run in root.glob("trial-*")}
    assert all(re.match("the time was over after epoch .* of 10000000", each) for each in reasons.values())
    best = yaml.safe_load((root / BEST_TRIAL_FILE).read_text())["trial"]
    assert f"{best}: {reasons[best]}; to train it in full:" in ended.out


WRONG = [
    Mistake(
        "a float", {}, ("-m", "model.periodic_features=interval(1,8)"), ("write int(interval(LOW,HIGH))",)
    ),
    Mistake("no -m", {}, ("sweep=mlp",), ("scripts/train.py -m sweep=mlp",)),
]


@each(WRONG)
def test_mistakes(mistake: Mistake, tmp_path: Path, command: Command) -> None:
    assert_refused(mistake, tmp_path, command)
