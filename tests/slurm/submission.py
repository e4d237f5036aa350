"""sbatch: a script and its options become a job, or an array of jobs."""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

from slurm.controller import Cluster
from slurm.jobs import Job, seconds
from slurm.options import Parser, RefusedError

# Options of sbatch that take a value; the fake heeds few of them and records all.
VALUES = (
    "account array comment constraint cpus-per-gpu cpus-per-task dependency error exclude gpus-per-node"
    " gpus-per-task gres job-name mail-type mail-user mem mem-per-cpu mem-per-gpu nodelist nodes ntasks"
    " ntasks-per-node open-mode output partition qos signal time wckey"
)
LETTERS = {"array": "-a", "error": "-e", "job-name": "-J", "output": "-o", "partition": "-p", "time": "-t"}


def sbatch(cluster: Cluster, request: dict[str, Any]) -> str:
    """Puts a script into the queue."""
    parser = Parser("sbatch")
    for name in VALUES.split():
        parser.add_argument(*([LETTERS[name]] if name in LETTERS else []), f"--{name}", default="")
    parser.add_argument("--exclusive", nargs="?", const="exclusive")
    parser.add_argument("--requeue", action="store_const", const="1", default="1")
    parser.add_argument("--no-requeue", action="store_const", const="", dest="requeue")
    parser.add_argument("--parsable", action="store_true")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args(request["arguments"])
    path = Path(request["folder"], given.script)
    if not path.is_file():
        raise RefusedError(f"sbatch: error: Unable to open file {given.script}")
    script = path.read_text()
    if not script.startswith("#!"):
        raise RefusedError("sbatch: error: This does not look like a batch script.")
    words = []
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            words += shlex.split(line.removeprefix("#SBATCH"), comments=True)
        elif line.strip() and not line.startswith("#"):
            break
    own = parser.parse_args([*words, *request["arguments"]])
    options = {name: str(value or "") for name, value in vars(own).items()}
    del options["script"], options["arguments"], options["parsable"]
    options["job_name"] = options["job_name"] or path.name
    options["time"] = options["time"] or "0"
    options["partition"] = options["partition"] or cluster.settings.partitions[0]
    options["output"] = options["output"] or ("slurm-%A_%a.out" if options["array"] else "slurm-%j.out")
    tasks, throttle = _checked(cluster, options)
    number = cluster.next_id()
    environment = request["environment"] | {"FAKE_SLURM": request["cluster"]}
    values = (options, script, own.arguments, request["folder"], environment)
    if tasks:
        cluster.jobs += [Job(number, number, task, tasks, throttle, *values) for task in tasks]
    else:
        cluster.jobs.append(Job(number, None, None, [], 0, *values))
    return f"{number}\n" if own.parsable else f"Submitted batch job {number}\n"


def _checked(cluster: Cluster, options: dict[str, str]) -> tuple[list[int], int]:
    """The indices of an array and how many may run at once, if nothing in the options is wrong."""
    if set(options["partition"].split(",")) - set(cluster.settings.partitions):
        raise RefusedError(
            f"sbatch: error: invalid partition specified: {options['partition']}\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified"
        )
    if {options["nodes"], options["ntasks_per_node"], options["ntasks"]} - {"", "1"}:
        raise RefusedError("sbatch: error: the fake runs jobs of one task")
    if options["signal"] and not re.fullmatch(r"(SIG)?[A-Z]+[12]?(@\d+(\.\d+)?)?", options["signal"]):
        raise RefusedError("sbatch: error: Invalid --signal specification", 255)
    try:
        seconds(options["time"])
    except ValueError:
        raise RefusedError("sbatch: error: Invalid --time specification", 255) from None
    indices, _, throttle = options["array"].partition("%")
    pieces = [re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", each) for each in indices.split(",") if indices]
    tasks = sorted({i for m in pieces if m for i in range(int(m[1]), int(m[2] or m[1]) + 1, int(m[3] or 1))})
    if None in pieces or (tasks and tasks[-1] >= cluster.settings.max_array_size):
        raise RefusedError("sbatch: error: Batch job submission failed: Invalid job array specification")
    return tasks, int(throttle or 0)
