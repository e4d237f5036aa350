"""The study of a search: its trials, kept by Optuna in the sweep folder. Imports no torch."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mlplab.config.metrics import sign_of
from mlplab.errors import Fault, UserError, reason_of
from mlplab.runs.discovery import COMPATIBLE
from mlplab.sweeps.folder import STUDY_FILES
from mlplab.sweeps.search.samplers import build_sampler
from mlplab.sweeps.search.space import Space, Value

STUDY = "search"
"""The name of the study in its storage."""

LOCK_SECONDS = 5
"""Age of a lock at which its process must have been killed: writing takes milliseconds."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialResult:
    """How a trial has ended.

    Args:
        status: `done`, `pruned`, `diverged` or `failed`, as in the run's metrics.json.
        value: the monitored metric; None if there is none.
        rungs: its values at the rungs that it reached.
        reason: why the status is not `done`.
    """

    status: str
    value: float | None
    rungs: Sequence[float] = ()
    reason: str = ""


class SearchStudy:
    """The trials of a search.

    Args:
        root: the sweep folder.
        kind: `journal` or `sqlite`.
        monitor: the metric that is minimised or maximised.
        seed: of the sampler.

    Raises:
        UserError: if there is another kind of storage, or it is damaged, locked or of another version.
    """

    def __init__(self, root: Path, kind: str, space: Space, monitor: str, sampler: str, seed: int) -> None:
        self.root, self.space, self.sampler, self.seed = root, space, sampler, seed
        self.path = root / STUDY_FILES[kind]
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        others = [root / name for name in STUDY_FILES.values() if name != self.path.name]
        if found := [path for path in others if path.exists()]:
            (typed,) = (key for key, name in STUDY_FILES.items() if name == found[0].name)
            remedy = f"type sweep.storage={typed}"
            raise UserError(Fault("the search has another storage", str(found[0]), remedy=remedy))
        with readable(self.path):
            self.storage = _storage(self.path, kind)
            direction = StudyDirection.MAXIMIZE if sign_of(monitor) < 0 else StudyDirection.MINIMIZE
            self.study = optuna.create_study(
                storage=self.storage, study_name=STUDY, direction=direction, load_if_exists=True
            )
            self._id = self.storage.get_study_id_from_name(STUDY)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.study.get_trials(deepcopy=False)

    @property
    def running(self) -> list[FrozenTrial]:
        """The trials that have not ended."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    @property
    def best(self) -> FrozenTrial | None:
        """The best finished trial, the earliest if there are several; None if none has finished."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        sign = -1 if self.study.direction == StudyDirection.MAXIMIZE else 1
        return min(done, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def check_same(self, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        """Checks that a resumed search is the same as before; of a new one, stores what it is.

        Args:
            attributes: what must not change, by topic: the space, the configuration.

        Raises:
            UserError: with each difference in the first topic that has one.
        """
        stored = self.study.user_attrs
        if "version" not in stored:
            for name, content in attributes.items():
                self.study.set_user_attr(name, content)
            self.study.set_user_attr("version", COMPATIBLE)
            return
        if stored["version"] != COMPATIBLE:
            version = stored["version"]
            what = f"was written by mlplab {version}, which this version ({COMPATIBLE}) cannot resume"
            raise UserError(Fault(what, str(self.path), remedy="start a new search: name=…"))
        what = f"differs from the search in {self.root}"
        remedy = "to resume, give the command as before; to start a new search, choose another name=…"
        for name, content in attributes.items():
            here, there = json.loads(json.dumps(content)), stored[name]
            faults = [
                Fault(what, key, _shown(here, key), _shown(there, key), remedy)
                for key in dict.fromkeys((*here, *there))
                if key not in here or key not in there or here[key] != there[key]
            ]
            if faults:
                raise UserError(*faults)

    def remembered(self, name: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the search has stored under a name; at first, this content."""
        if name not in self.study.user_attrs:
            self.study.set_user_attr(name, dict(content))
        return dict(self.study.user_attrs[name])

    def ask(self, fixed: Mapping[str, Value]) -> FrozenTrial:
        """Starts the next trial; the sampler chooses the values that are not fixed."""
        number = len(self.trials)
        self.study.sampler = build_sampler(self.sampler, self.seed, number, fixed)
        self.study.ask(self.space.distributions)
        return self.trials[number]

    def completed(self, trial: FrozenTrial) -> FrozenTrial:
        """A running trial with all values: the process may have been killed while they were chosen."""
        missing = [each for key, each in self.space.dimensions.items() if key not in trial.params]
        if missing:
            self.study.sampler = build_sampler(self.sampler, self.seed, trial.number, trial.params)
            resumed = optuna.trial.Trial(self.study, self._trial_id(trial.number))
            for dimension in missing:
                dimension.suggest(resumed)
        return self.trials[trial.number]

    def tell(self, number: int, result: TrialResult) -> None:
        """Ends a trial.

        One that diverged counts as pruned without a value: samplers then avoid its values, which they would
        not if it counted as failed.
        """
        identifier = self._trial_id(number)
        for rung, value in enumerate(result.rungs, 1):
            self.storage.set_trial_intermediate_value(identifier, rung, value)
        if result.reason:
            self.storage.set_trial_user_attr(identifier, result.status, result.reason)
        states = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.PRUNED}
        state = states.get(result.status, TrialState.FAIL)
        self.study.tell(number, result.value if state == TrialState.COMPLETE else None, state)

    def _trial_id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._id, number)


def _shown(content: Mapping[str, Any], key: str) -> str:
    return str(content[key]) if key in content else "no such key"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns errors of Optuna's storages into messages.

    Raises:
        UserError: if the storage is damaged, locked or of another version.
    """
    remedy = "restore it, or start a new search: name=…"
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        what = f"is damaged: {reason_of(error)}"
        if "locked" in str(error):
            what, remedy = "is locked by another process", "end that process, then run the command again"
        elif isinstance(error, RuntimeError) and "version" in str(error):
            what, remedy = (
                "was written by another version of Optuna",
                f"install that version, or type: optuna storage upgrade --storage sqlite:///{path}",
            )
        raise UserError(Fault(what, str(path), remedy=remedy)) from error


def _storage(path: Path, kind: str) -> BaseStorage:
    if kind == "sqlite":
        return RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}})
    if path.exists():
        _remove_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path), LOCK_SECONDS)))


def _remove_torn_line(path: Path) -> None:
    """Removes an unfinished last line, which a process killed while writing has left."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        kept = content.rpartition(b"\n")[0]
        with path.open("rb+") as file:
            file.truncate(len(kept) + (b"\n" in content))
        log.warning("%s: removed an unfinished last line", path)
