"""The command line of describe: a configuration whose table needs no target."""

import sys
from collections.abc import Callable
from pathlib import Path

from omegaconf import OmegaConf

from mlplab.cli.compose import initialized, plain, read_flags
from mlplab.cli.overrides import check_overrides
from mlplab.cli.terminal import exit_status, log_to_terminal
from mlplab.config import TrainConfig, parse


def describe_command(describe: Callable[[TrainConfig], None], *, conf: Path, name: str, usage: str) -> None:
    """Composes `conf/<name>.yaml` with the command line, describes the table, exits like `train_command`."""
    log_to_terminal("stderr")

    def work() -> None:
        flags = read_flags(conf, name, usage)
        if flags is None:
            return
        check_overrides(flags.overrides, multirun=False)
        with initialized(conf, flags, name) as compose:
            cfg = compose(flags.overrides)
            if OmegaConf.is_missing(cfg.data, "target"):
                cfg.data.target = []
            config = parse(plain(cfg))
        describe(config)

    sys.exit(exit_status(work))
