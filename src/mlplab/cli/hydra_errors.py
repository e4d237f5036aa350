"""Turns exceptions of Hydra, OmegaConf and YAML into messages about the user's input."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from mlplab.config import unknown_key
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest


@contextmanager
def explained() -> Iterator[None]:
    """Turns exceptions of Hydra, OmegaConf and YAML into `UserError`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise explain(error) from error
    except (ValueError, TypeError) as error:  # Hydra's, for optimizer=3 and optimizer=[a,[b]]
        if not str(error).startswith(("Config group override", "can only concatenate str")):
            raise
        what = "a config group takes the name of an option, or a list of names"
        raise UserError(Fault(what, remedy="--help lists the options of each group")) from error
    except BrokenPipeError:
        raise  # the reader of our output has closed it
    except OSError as error:
        where = str(error.filename or "")
        raise UserError(Fault(f"cannot be used: {error.strerror}", where)) from error


def explain(error: Exception) -> UserError:
    """The mistake behind an exception of Hydra, OmegaConf or YAML."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return cause
    for cause in chain:
        if fault := _fault(cause):
            return UserError(fault)
    return UserError(Fault(_first_line(error), remedy=_first_line(chain[-1]) if len(chain) > 1 else ""))


def _causes(error: BaseException) -> Iterator[BaseException]:
    while True:
        yield error
        following = error.__cause__ or error.__context__
        if following is None:
            return
        error = following


def _fault(error: BaseException) -> Fault | None:
    if isinstance(error, OverrideParseException) and (
        found := re.search(r"while evaluating '(.*)': (.*)", str(error))
    ):
        expected = "choice(a,b), range(start,stop) or interval(low,high)"
        return Fault(found[2], error.override, found[1], expected)
    if isinstance(error, OverrideParseException):
        return Fault(
            "cannot be read as an override",
            error.override,
            expected="key=value or group=option",
            remedy=f"quote values with spaces or special characters: {_quoted(error.override)}",
        )
    if isinstance(error, MissingConfigException):
        return _unknown_option(error)
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = f"{mark.name}, line {mark.line + 1}" if mark else "a configuration file"
        return Fault(
            f"is not valid YAML: {error.problem}",
            where,
            remedy="correct that line; indent with spaces, not tabs",
        )
    if isinstance(error, MissingMandatoryValue):
        key = str(error.full_key or "").strip()
        return Fault("needs a value", key, remedy=f"set it: {key}=…")
    if match := re.match(r"Could not override '([^']+)'", str(error)):
        return unknown_key(match[1])
    if match := re.search(r"An item is already at '([^']+)'", str(error)):
        return Fault("already exists", match[1], remedy=f"remove the +: {match[1]}=…")
    if match := re.search(r"config group '([^']+)' does not exist", str(error)):
        return unknown_key(match[1])
    if isinstance(error, OmegaConfBaseException):
        return Fault(_first_line(error), str(error.full_key or ""))
    return None


def _quoted(override: str) -> str:
    key, _, value = override.partition("=")
    return f"\"{key}='{value or '…'}'\""


def _unknown_option(error: MissingConfigException) -> Fault:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or ())
    if not group:
        return Fault(_first_line(error))
    return Fault(
        "unknown option",
        group,
        f"'{option}'",
        f"one of {listed(options, 20)}" if options else "",
        did_you_mean(nearest(option, options), f"{group}="),
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
