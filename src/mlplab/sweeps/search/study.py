"""The study of a search: its trials, in Optuna's journal in the sweep folder. Imports no torch."""

import json
import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import PartialFixedSampler, RandomSampler, TPESampler
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mlplab.config import Sweep
from mlplab.config.metrics import sign_of
from mlplab.errors import Fault, UserError, refusal
from mlplab.files import Plain
from mlplab.runs.versions import VERSION
from mlplab.sweeps.search.space import Params, Space
from mlplab.sweeps.sweep_folder import STUDY_FILE

STUDY = "search"  # the name of the study in its journal

ABSENT = "no such key"

RUNG = "rung/"  # how the names of values at rungs begin in metrics.json

log = logging.getLogger(__name__)


class SearchStudy:
    """The trials of a search.

    The sampler works on a copy in memory, and the journal gets each trial in one piece. So a trial exists
    with all its values or not at all, wherever a process is killed.

    Raises:
        UserError: if the journal is damaged.
    """

    def __init__(self, root: Path, space: Space, monitor: str, settings: Sweep, seed: int) -> None:
        self.root, self.path, self.space, self.monitor = root, root / STUDY_FILE, space, monitor
        self.sign, self.settings, self.seed = sign_of(monitor), settings, seed
        direction = StudyDirection.MAXIMIZE if self.sign < 0 else StudyDirection.MINIMIZE
        self._memory = optuna.storages.InMemoryStorage()
        self.study = optuna.create_study(storage=self._memory, study_name=STUDY, direction=direction)
        _remove_unfinished_line(self.path)
        self._journal, self._stored = _stored_study(self.path, direction)
        self.study.add_trials(self._stored.get_trials(deepcopy=False))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.study.get_trials(deepcopy=False)

    @property
    def done(self) -> list[FrozenTrial]:
        """The trials that have finished with a value."""
        return [trial for trial in self.trials if trial.state == TrialState.COMPLETE]

    @property
    def best(self) -> FrozenTrial | None:
        """The best finished trial, the earliest if there are several; None if none has finished."""
        return min(self.done, key=lambda trial: self.sign * (trial.value or 0.0), default=None)

    def check_same(self, keys: Mapping[str, object], table: Mapping[str, object]) -> Plain:
        """Checks that a resumed search has the keys of its start, also those that are searched, as text.

        Stores what a new one has. Returns the stored fingerprint of table and split, to be compared.

        Raises:
            UserError: with each key that differs, if there are more trials than asked for, or if another
                version has written the journal.
        """
        now = json.loads(json.dumps({"keys": keys, "table": table, "version": VERSION}))
        if not self.trials:
            self._stored.set_user_attr("identity", now)
        then = self._stored.user_attrs.get("identity", {})
        if then.get("version") != VERSION:
            what = f"was written by another version of mlplab, which this one ({VERSION}) cannot resume"
            raise refusal(what, self.path, "start a new search: name=…")
        what = f"differs from the search in {self.root}"
        remedy = "to resume, give the command as before; to start a new search, choose another name=…"
        here, there = now["keys"], then["keys"]
        pairs = [(key, here.get(key, ABSENT), there.get(key, ABSENT)) for key in here | there]
        if faults := [Fault(what, key, str(a), str(b), remedy) for key, a, b in pairs if a != b]:
            raise UserError(*faults)
        if (total := self.settings.total) and total < (count := len(self.trials)):
            what = f"the search has {count} trials already"
            remedy = f"give the number of all trials, such as sweep.trials={count + self.settings.batch}"
            raise UserError(Fault(what, "sweep.trials", str(total), remedy=remedy))
        return then["table"]

    def ask(self, fixed: Params) -> FrozenTrial:
        """Starts the next trial; the sampler chooses the values that are not fixed."""
        number = len(self.trials)
        # The sampler depends on the earlier trials, the seed and the trial's number only. So a search that is
        # killed and resumed chooses the same values as one that is not.
        seed = int(np.random.SeedSequence(self.seed, spawn_key=(number,)).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Running trials count as bad ones (constant liar), so that a batch spreads out.
            is_random = self.settings.sampler == "random"
            sampler = RandomSampler(seed) if is_random else TPESampler(seed=seed, constant_liar=True)
            self.study.sampler = PartialFixedSampler(dict(fixed), sampler) if fixed else sampler
        self.study.ask({key: dimension.distribution for key, dimension in self.space.dimensions.items()})
        trial = self.trials[number]
        self._stored.add_trial(trial)
        return trial

    def tell(self, number: int, metrics: Plain) -> None:
        """Ends a trial, as its run's metrics.json says. One without the monitored metric has failed.

        The value of a pruned one is that at its last rung, as Optuna has it. One that diverged has no value,
        even if it had reached a rung.
        """
        status, value = str(metrics["status"]), metrics.get(self.monitor)
        reason = str(metrics.get("reason", "its process ended"))
        rungs = {name.removeprefix(RUNG): at for name, at in metrics.items() if name.startswith(RUNG)}
        if status == "done" and value is None:
            status, reason, rungs = "failed", f"{self.monitor} is not defined", {}
        # Samplers would not avoid the values of diverged trials if those had failed.
        states = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.PRUNED}
        state = states.get(status, TrialState.FAIL)
        for study, storage in ((self._stored, self._journal), (self.study, self._memory)):
            study_id = storage.get_study_id_from_name(STUDY)
            trial = storage.get_trial_id_from_study_id_trial_number(study_id, number)
            for rung, at in rungs.items() if status != "diverged" else ():
                reached = self.sign * math.inf if at is None else float(at)
                storage.set_trial_intermediate_value(trial, int(rung), reached)
            if status != "done":
                storage.set_trial_user_attr(trial, "status", status)
                storage.set_trial_user_attr(trial, "reason", reason)
            study.tell(number, value if state == TrialState.COMPLETE else None, state)


def status_of(trial: FrozenTrial) -> str:
    """How a trial has ended."""
    return "done" if trial.state == TrialState.COMPLETE else str(trial.user_attrs.get("status", "failed"))


def _remove_unfinished_line(path: Path) -> None:
    """Removes what a process wrote last, if it was killed within a line."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)
        log.warning("%s: removed an unfinished last line", path)


def _stored_study(path: Path, direction: StudyDirection) -> tuple[JournalStorage, optuna.Study]:
    """The journal at a path, and the study in it, which may be new.

    Raises:
        UserError: if the journal is damaged.
    """
    lock = JournalFileOpenLock(str(path), 5)  # seconds: a process that holds it longer was killed
    try:
        journal = JournalStorage(JournalFileBackend(str(path), lock))
        study = optuna.create_study(
            storage=journal, study_name=STUDY, direction=direction, load_if_exists=True
        )
        study.get_trials(deepcopy=False)
    except OSError:
        raise
    except Exception as error:
        what = f"is damaged: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise refusal(what, path, "restore it, or start a new search: name=…") from error
    return journal, study
