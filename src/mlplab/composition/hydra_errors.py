"""Turns exceptions of Hydra, OmegaConf and YAML into messages about the user's input."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from mlplab.config import unknown_key
from mlplab.errors import Fault, UserError, did_you_mean, listed, nearest, refusal


@contextmanager
def explained() -> Iterator[None]:
    """Turns exceptions of Hydra, OmegaConf and YAML into `UserError`."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        chain: list[BaseException] = [error]
        while following := chain[-1].__cause__ or chain[-1].__context__:
            chain.append(following)
        general = Fault(_first_line(error), remedy=_first_line(chain[-1]) if len(chain) > 1 else "")
        mistake = next((each for each in chain if isinstance(each, UserError)), None)
        raise mistake or UserError(next(filter(None, map(_fault, chain)), general)) from error
    except (UserError, BrokenPipeError):  # whose reader has closed our output
        raise
    except (ValueError, TypeError) as error:  # Hydra's, for optimizer=3 and optimizer=[a,[b]]
        what = "a config group takes the name of an option, or a list of names"
        raise UserError(Fault(what, found=_first_line(error))) from error
    except OSError as error:
        raise refusal(f"cannot be used: {error.strerror}", error.filename or "") from error


def _fault(error: BaseException) -> Fault | None:
    text = str(error)
    if isinstance(error, OverrideParseException):
        if found := re.search(r"while evaluating '(.*)': (.*)", text):
            expected = "choice(a,b), range(start,stop) or interval(low,high)"
            return Fault(found[2], error.override, found[1], expected)
        key, _, value = error.override.partition("=")
        remedy = f"quote values with spaces or special characters: \"{key}='{value}'\""
        if not value:
            column = key if key.isidentifier() else "…"
            remedy = f"give a key; for the column to predict: data.target={column}"
        what, expected = "cannot be read as an override", "key=value or group=option"
        return Fault(what, error.override, expected=expected, remedy=remedy)
    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        options = list(error.options or ())
        expected = f"one of {listed(options, 20)}" if options else ""
        remedy = did_you_mean(nearest(option, options), f"{group}=")
        return Fault("unknown option", group, f"'{option}'", expected, remedy)
    if isinstance(error, yaml.MarkedYAMLError):
        mark, remedy = error.problem_mark, "correct that line; indent with spaces, not tabs"
        where = f"{mark.name}, line {mark.line + 1}" if mark else "a configuration file"
        return Fault(f"is not valid YAML: {error.problem}", where, remedy=remedy)
    if match := re.search(r"^Could not override '([^']+)'|config group '([^']+)' does not exist", text):
        key, below = match[1] or match[2], str(getattr(error.__cause__, "full_key", None) or "")
        return unknown_key(below if below.startswith(f"{key}.") else key)
    if isinstance(error, MissingConfigException | OmegaConfBaseException):
        return Fault(_first_line(error), str(getattr(error, "full_key", None) or ""))
    return None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
