"""What the commands have in common: their options, how they name and choose jobs, and how they refuse."""

import argparse
import os
import pwd
import re
from typing import NoReturn

from slurm.jobs import Job

USER = pwd.getpwuid(os.getuid()).pw_name
SHORT = {"PENDING": "PD", "RUNNING": "R", "COMPLETING": "CG", "COMPLETED": "CD", "FAILED": "F"}
SHORT |= {"TIMEOUT": "TO", "CANCELLED": "CA", "NODE_FAIL": "NF", "PREEMPTED": "PR"}
INVALID_ID = "Invalid job id specified"


class RefusedError(Exception):
    """What a command prints to stderr before it ends with a status."""

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


class Parser(argparse.ArgumentParser):
    """Options of a command."""

    def __init__(self, command: str):
        super().__init__(command, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """In the words of getopt where Slurm has them."""
        message = re.sub("unrecognized arguments: (.*)", r"unrecognized option '\1'", message)
        raise RefusedError(f'{self.prog}: {message}\nTry "{self.prog} --help" for more information', 255)


def add_filters(parser: Parser, states: str) -> None:
    """The options by which squeue and scancel choose jobs."""
    parser.add_argument("--me", action="store_true")
    parser.add_argument("-u", "--user")
    parser.add_argument("-n", "--name")
    parser.add_argument("-t", "--state", "--states", default=states)


def filtered(command: str, jobs: list[Job], given: argparse.Namespace) -> list[Job]:
    """The jobs that these options choose."""
    full = {short: state for state, short in SHORT.items()}
    states = [full.get(each, each) for each in given.state.upper().split(",")]
    for state in set(states) - {*SHORT, "ALL", ""}:
        raise RefusedError(f"{command}: error: Invalid job state specified: {state}")
    if given.user and USER not in given.user.split(","):
        return []
    names = given.name.split(",") if given.name else None
    jobs = [job for job in jobs if names is None or job.options["job_name"] in names]
    return [job for job in jobs if job.state in states or {"ALL", ""} & set(states)]


def is_named(job: Job, name: str) -> bool:
    """Whether an id means this job; that of an array means each task."""
    return name in (job.name, str(job.array), str(job.id))
