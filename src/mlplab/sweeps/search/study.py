"""The study of a search: its trials, kept by Optuna in the sweep folder. Imports no torch."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL

from mlplab.config.metrics import sign_of
from mlplab.errors import Fault, UserError
from mlplab.runs.discovery import COMPATIBLE
from mlplab.sweeps.folder import STUDY_FILES
from mlplab.sweeps.search.samplers import build_sampler
from mlplab.sweeps.search.saved_optimizers import check_saved_optimizers
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
        rungs: its values at the rungs that it reached, by their numbers.
        reason: why the status is not `done`.
    """

    status: str
    value: float | None
    rungs: Mapping[int, float] = field(default_factory=dict)
    reason: str = ""


class SearchStudy:
    """The trials of a search.

    The sampler works on a copy in memory, and the storage gets each trial in one piece. So a trial exists
    with all its values or not at all, wherever a process is killed.

    Args:
        root: the sweep folder.
        kind: `journal` or `sqlite`.
        monitor: the metric that is minimised or maximised.
        sampler: its name.
        seed: of the sampler.

    Raises:
        UserError: if there is another kind of storage, or it is damaged, locked or of another version.
    """

    def __init__(self, root: Path, kind: str, space: Space, monitor: str, sampler: str, seed: int) -> None:
        self.root, self.space, self.sampler, self.seed = root, space, sampler, seed
        self.path, self.sign = root / STUDY_FILES[kind], sign_of(monitor)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        others = [(name, root / file) for name, file in STUDY_FILES.items() if name != kind]
        if found := [(name, path) for name, path in others if path.exists()]:
            remedy = f"type sweep.storage={found[0][0]}"
            raise UserError(Fault("the search has another storage", str(found[0][1]), remedy=remedy))
        direction = StudyDirection.MAXIMIZE if self.sign < 0 else StudyDirection.MINIMIZE
        with explained_storage(self.path):
            self.storage = _storage(self.path, kind)
            stored = optuna.create_study(
                storage=self.storage, study_name=STUDY, direction=direction, load_if_exists=True
            )
            self._id = self.storage.get_study_id_from_name(STUDY)
            self.study = optuna.create_study(study_name=STUDY, direction=direction)
            for name, value in self.storage.get_study_system_attrs(self._id).items():
                self._memory.set_study_system_attr(self._memory_id, name, value)
            trials = stored.get_trials(deepcopy=False)
            check_saved_optimizers((trial.system_attrs for trial in trials), self.path)
            self.study.add_trials(trials)

    @property
    def _memory(self) -> BaseStorage:
        return self.study._storage

    @property
    def _memory_id(self) -> int:
        return self._memory.get_study_id_from_name(STUDY)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.study.get_trials(deepcopy=False)

    @property
    def running(self) -> list[FrozenTrial]:
        """The trials that have not ended."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    @property
    def done(self) -> list[FrozenTrial]:
        """The trials that have finished with a value."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    @property
    def best(self) -> FrozenTrial | None:
        """The best finished trial, the earliest if there are several; None if none has finished."""
        return min(self.done, key=lambda trial: self.sign * (trial.value or 0.0), default=None)

    def check_same(self, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        """Checks that a resumed search is the same as before; of a new one, stores what it is.

        Args:
            attributes: what must not change, by topic: the space, the configuration.

        Raises:
            UserError: with each difference in the first topic that has one.
        """
        if not self.trials:
            for name, content in {**attributes, "version": COMPATIBLE}.items():
                self._remember(name, content)
            return
        stored = self._remembered()
        version = stored.get("version")
        if version != COMPATIBLE:
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
        """What the search stored under a name when it had no trials; until then, this content."""
        if not self.trials:
            self._remember(name, dict(content))
        return dict(self._remembered()[name])

    def _remember(self, name: str, content: Any) -> None:
        with explained_storage(self.path):
            self.storage.set_study_user_attr(self._id, name, content)

    def _remembered(self) -> dict[str, Any]:
        with explained_storage(self.path):
            return self.storage.get_study_user_attrs(self._id)

    def ask(self, fixed: Mapping[str, Value]) -> FrozenTrial:
        """Starts the next trial; the sampler chooses the values that are not fixed."""
        number, before = len(self.trials), self._memory.get_study_system_attrs(self._memory_id).copy()
        self.study.sampler = build_sampler(self.sampler, self.seed, number, fixed)
        self.study.ask(self.space.distributions)
        trial = self.trials[number]
        with explained_storage(self.path):
            for name, value in self._memory.get_study_system_attrs(self._memory_id).items():
                if name not in before or before[name] != value:  # the position in a sequence
                    self.storage.set_study_system_attr(self._id, name, value)
            self.storage.create_new_trial(self._id, template_trial=trial)
        return trial

    def tell(self, number: int, result: TrialResult) -> None:
        """Ends a trial.

        One that diverged counts as pruned without a value, even if it had reached a rung: samplers then avoid
        its values, which they would not if it counted as failed.
        """
        states = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.PRUNED}
        state = states.get(result.status, TrialState.FAIL)
        values = None if state != TrialState.COMPLETE or result.value is None else [result.value]
        rungs = {} if result.status == "diverged" else result.rungs
        if state == TrialState.PRUNED and rungs:
            values = [rungs[max(rungs)]]  # as Optuna does
        with explained_storage(self.path):
            for storage, study in ((self.storage, self._id), (self._memory, self._memory_id)):
                trial = storage.get_trial_id_from_study_id_trial_number(study, number)
                for rung, value in rungs.items():
                    storage.set_trial_intermediate_value(trial, rung, value)
                if result.reason:
                    storage.set_trial_user_attr(trial, result.status, result.reason)
                storage.set_trial_state_values(trial, state, values)


def _shown(content: Mapping[str, Any], key: str) -> str:
    return str(content[key]) if key in content else "no such key"


@contextmanager
def explained_storage(path: Path) -> Iterator[None]:
    """Turns errors of Optuna's storages into messages.

    Raises:
        UserError: if the storage is damaged, locked or of another version.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        text = " ".join(str(each) for each in (error, error.__cause__))
        what = f"is damaged: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        remedy = "restore it, or start a new search: name=…"
        if "locked" in text:
            what, remedy = "is locked by another process", "end that process, then run the command again"
        elif isinstance(error, RuntimeError) and "version" in text:
            what = "was written by another version of Optuna"
            remedy = f"install that version, or type: optuna storage upgrade --storage '{_address(path)}'"
        raise UserError(Fault(what, str(path), remedy=remedy)) from error


def _storage(path: Path, kind: str) -> BaseStorage:
    if kind == "sqlite":
        return RDBStorage(_address(path), engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}})
    if path.exists():
        _remove_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path), LOCK_SECONDS)))


def _address(path: Path) -> str:
    """The address of a database; in a path, some characters have a meaning."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _remove_torn_line(path: Path) -> None:
    """Removes an unfinished last line, which a process killed while writing has left."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)
        log.warning("%s: removed an unfinished last line", path)
