"""Composes a sweep: what its runs have in common, and the configuration of each run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from mlplab.composition.compose import (
    SWEEP,
    composing,
    current_state,
    folder_of,
    hydra_state,
    plain,
    plain_section,
)
from mlplab.composition.overrides import Keyword, keys_of
from mlplab.config import Launcher, Sweep, parse, validated
from mlplab.errors import UserError
from mlplab.files import Plain
from mlplab.sweeps.check_runs import ComposedRun, RefusedRun
from mlplab.sweeps.grid import Runs
from mlplab.sweeps.launch import ComposedSweep


def compose_sweep(
    overrides: Sequence[Override], folders: Sequence[Path], root: Path | None = None
) -> ComposedSweep:
    """The sweep of some overrides, which takes Hydra's state only while it composes runs.

    Args:
        folders: as in `composing`.
        root: the folder of the sweep; None: the configuration's.

    Raises:
        UserError: if what the runs have in common is wrong, or the folder.
    """
    own = [each for each in overrides if not each.is_hydra_override()]
    shared = [each for each in own if not each.is_sweep_override()]
    always = [each for each in overrides if each.is_hydra_override()]
    with composing(folders) as compose:
        common, typed = compose([*shared, *always]), keys_of(overrides)
        root = root or folder_of(common, "hydra.sweep.dir", typed)
        if "name" not in typed:  # by default, it contains the time
            always.append(Keyword.of("name", str(common.name), ""))
        loader, state = GlobalHydra.instance().config_loader(), current_state()
        known = dict[str, object]()  # equal sections are stored once: those of thousands of runs take memory

        def compose_runs(runs: Runs) -> list[ComposedRun | RefusedRun]:
            """The runs with these overrides, by the names of their folders."""
            composed = list[ComposedRun | RefusedRun]()
            with hydra_state(*state):
                for name, own in runs.items():
                    values: Plain = {}
                    try:
                        values = plain(compose([*own, *always]))
                        config = parse(values)
                        once = {key: known.setdefault(repr(value), value) for key, value in config}
                        composed.append(ComposedRun(config.model_copy(update=once), root / name))
                    except UserError as error:
                        composed.append(RefusedRun(root / name, values, error))
            return composed

        return ComposedSweep(
            root=root,
            overrides=[replace(each, config_loader=loader) for each in own],
            choices=common.hydra.runtime.choices,
            settings=validated(plain_section(common, SWEEP), Sweep, "sweep"),
            launcher=validated(plain_section(common, "hydra.launcher"), Launcher, "hydra", "launcher"),
            accelerator=str(OmegaConf.select(common, "trainer.accelerator")),
            compose=compose_runs,
        )
