"""The commands of Slurm, as its controller answers them; texts and statuses as of Slurm 24.11."""

import argparse
import json
import os
import pwd
import re
import select
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from slurm.controller import Cluster
from slurm.jobs import Job, seconds

USER = pwd.getpwuid(os.getuid()).pw_name
SHORT = {"PENDING": "PD", "RUNNING": "R", "COMPLETING": "CG", "COMPLETED": "CD", "FAILED": "F"}
SHORT |= {"TIMEOUT": "TO", "CANCELLED": "CA", "NODE_FAIL": "NF", "PREEMPTED": "PR"}
INVALID_ID = "Invalid job id specified"
# Options of sbatch that take a value; the fake heeds few of them and records all.
VALUES = (
    "account array comment constraint cpus-per-gpu cpus-per-task dependency error exclude gpus-per-node"
    " gpus-per-task gres job-name mail-type mail-user mem mem-per-cpu mem-per-gpu nodelist nodes ntasks"
    " ntasks-per-node open-mode output partition qos signal time wckey"
).split()
LETTERS = {"array": "-a", "error": "-e", "job-name": "-J", "output": "-o", "partition": "-p", "time": "-t"}


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
        """As getopt's message."""
        option = message.removeprefix("unrecognized arguments: ")
        raise RefusedError(f'{self.prog}: unrecognized option \'{option}\'\nTry "{self.prog} --help"', 255)


def sbatch(cluster: Cluster, request: dict[str, Any]) -> str:
    """Puts a script into the queue."""
    parser = Parser("sbatch")
    for name in VALUES:
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
    for task in tasks or [None]:
        array = None if task is None else number
        values = (options, script, own.arguments, request["folder"], environment)
        cluster.jobs.append(Job(number, array, task, tasks, throttle, *values))
    return f"{number}\n" if own.parsable else f"Submitted batch job {number}\n"


def _checked(cluster: Cluster, options: dict[str, str]) -> tuple[list[int], int]:
    """The indices of an array and how many may run at once, if nothing in the options is wrong."""
    if options["partition"] not in cluster.settings.partitions:
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


def squeue(cluster: Cluster, request: dict[str, Any]) -> str:
    """The jobs that wait or run."""
    parser = Parser("squeue")
    parser.add_argument("-h", "--noheader", action="store_true")
    parser.add_argument("-r", "--array", action="store_true")
    parser.add_argument("-j", "--jobs")
    parser.add_argument("-o", "--format", default="%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R")
    _add_filters(parser, states="PENDING,RUNNING,COMPLETING")
    given = parser.parse_args(request["arguments"])
    jobs = cluster.known()
    if given.jobs:
        names = given.jobs.split(",")
        if re.fullmatch(r"\d+", given.jobs) and not any(job for job in jobs if _is(job, given.jobs)):
            raise RefusedError(f"slurm_load_jobs error: {INVALID_ID}")
        jobs = [job for job in jobs if any(_is(job, name) for name in names)]
    jobs = _filtered("squeue", jobs, given)
    lines = [] if given.noheader else [_line(given.format, HEADERS)]
    grouped: set[int | None] = set()
    for job in jobs:
        name = job.name
        waiting = [] if given.array else [j for j in jobs if j.array == job.array and j.state == "PENDING"]
        if job.array and job in waiting and len(waiting) > 1 and any(not each.runs for each in waiting):
            if job.array in grouped:
                continue
            grouped.add(job.array)
            name = f"{job.array}_[{_ranges([int(str(each.task)) for each in waiting])}]"
            name = name.replace("]", f"%{job.throttle}]" if job.throttle else "]")
        lines.append(_line(given.format, _columns(cluster, job, name)))
    return "".join(f"{line}\n" for line in lines)


HEADERS = {"i": "JOBID", "A": "JOBID", "F": "ARRAY_JOB_ID", "K": "ARRAY_TASK_ID", "T": "STATE", "t": "ST"}
HEADERS |= {"j": "NAME", "r": "REASON", "R": "NODELIST(REASON)", "N": "NODELIST", "u": "USER"}
HEADERS |= {"P": "PARTITION", "M": "TIME", "D": "NODES"}


def _columns(cluster: Cluster, job: Job, name: str) -> dict[str, str]:
    """What squeue can print of a job."""
    reason, nodes = "None", job.node
    if job.state == "PENDING":
        nodes, reason = "", "Resources"
        if cluster.settings.held:
            reason = "PartitionDown"
        elif job.begin > time.time():
            reason = "BeginTime"
        elif cluster.throttled(job):
            reason = "JobArrayTaskLimit"
    minutes, rest = divmod(int(time.time() - job.runs[-1].start) if nodes else 0, 60)
    return {
        "i": name,
        "A": str(job.id),
        "F": str(job.array or job.id),
        "K": "N/A" if job.task is None else str(job.task),
        "T": job.state,
        "t": SHORT[job.state],
        "j": job.options["job_name"],
        "r": reason,
        "R": nodes or f"({reason})",
        "N": nodes,
        "u": USER,
        "P": job.options["partition"],
        "M": f"{minutes}:{rest:02}",
        "D": "1",
    }


def _line(form: str, values: dict[str, str]) -> str:
    """A line in a format such as `%.18i %T`."""

    def field(match: re.Match[str]) -> str:
        width = int(match[2] or 0) or None
        text = values[match[3]][:width]
        return text.rjust(width or 0) if match[1] else text.ljust(width or 0)

    return re.sub(r"%(\.?)(\d*)([a-zA-Z])", field, form)


def _ranges(numbers: list[int]) -> str:
    """Of 1, 2, 3, 7: `1-3,7`."""
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    return ",".join(f"{a}-{b}" if a < b else str(a) for a, b in zip(starts, ends, strict=True))


def _add_filters(parser: Parser, states: str) -> None:
    """The options by which squeue and scancel choose jobs."""
    parser.add_argument("--me", action="store_true")
    parser.add_argument("-u", "--user")
    parser.add_argument("-n", "--name")
    parser.add_argument("-t", "--state", "--states", default=states)


def _filtered(command: str, jobs: list[Job], given: argparse.Namespace) -> list[Job]:
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


def _is(job: Job, name: str) -> bool:
    """Whether an id means this job; that of an array means each task."""
    return name in (job.name, str(job.array), str(job.id))


def scancel(cluster: Cluster, request: dict[str, Any]) -> str:
    """Ends jobs, or signals their steps; ids that are not known are passed over in silence."""
    parser = Parser("scancel")
    parser.add_argument("-s", "--signal")
    parser.add_argument("ids", nargs="*")
    _add_filters(parser, states="")
    given = parser.parse_args(request["arguments"])
    if not (given.ids or given.me or given.user or given.name or given.state):
        raise RefusedError("scancel: error: No job identification provided")
    for name in given.ids:
        if not re.fullmatch(r"\d+(_\d+)?", name):
            raise RefusedError(f"scancel: error: Invalid job id {name}")
    known = [job for job in cluster.known() if not given.ids or any(_is(job, name) for name in given.ids)]
    for job in _filtered("scancel", known, given):
        if given.signal:
            job.signal_steps(signal.Signals[f"SIG{given.signal.removeprefix('SIG')}"])
        elif job.process:
            cluster.terminate(job, "CANCELLED")
        elif job.state == "PENDING":
            job.state = "CANCELLED"
    return ""


def scontrol(cluster: Cluster, request: dict[str, Any]) -> str:
    """Shows the configuration or a job, or requeues jobs."""
    match request["arguments"]:
        case ["show", "config"]:
            values = {"ClusterName": "fake", "JobRequeue": 1, "KillWait": f"{cluster.settings.kill_wait:g} sec"}
            values |= {"MaxArraySize": cluster.settings.max_array_size, "SLURM_VERSION": "24.11.5"}
            return "".join(f"{name:<23} = {value}\n" for name, value in values.items())
        case ["show", "job", name, *_]:
            jobs = [job for job in cluster.known() if _is(job, name)]
            if not jobs:
                raise RefusedError(f"slurm_load_jobs error: {INVALID_ID}")
            return "\n".join(_shown(cluster, job) for job in jobs)
        case ["requeue", *names] if names:
            problems = [each for name in ",".join(names).split(",") for each in _requeued(cluster, name)]
            if problems:
                raise RefusedError("\n".join(problems))
            return ""
    raise RefusedError(f"scontrol: the fake does not know {request['arguments']}")


def _shown(cluster: Cluster, job: Job) -> str:
    """A job as scontrol shows it."""
    array = "" if job.array is None else f" ArrayJobId={job.array} ArrayTaskId={job.task}"
    columns = _columns(cluster, job, job.name)
    return (
        f"JobId={job.id}{array} JobName={job.options['job_name']}\n"
        f"   JobState={job.state} Reason={columns['r']} Dependency=(null)\n"
        f"   Requeue={job.options['requeue'] or 0} Restarts={job.restarts} BatchFlag=1\n"
        f"   Partition={job.options['partition']}\n   NodeList={columns['N']}\n   WorkDir={job.folder}\n"
        f"   StdErr={job.path(job.options['error'] or job.options['output'])}\n"
        f"   StdOut={job.path(job.options['output'])}\n"
    )


def _requeued(cluster: Cluster, name: str) -> list[str]:
    """Requeues a job or an array; what is wrong with that."""
    jobs = [job for job in cluster.known() if _is(job, name)]
    problems = []
    for job in jobs:
        if job.state == "PENDING" or job.outcome == "REQUEUED":
            problems.append("Job is pending execution")
        elif not job.options["requeue"]:
            problems.append("Requested operation is presently disabled")
        elif job.process:
            cluster.terminate(job, "REQUEUED")
        else:
            cluster.requeue(job)
    if not jobs:
        problems.append(INVALID_ID)
    return [f"{name}: {each}" if "_" in name else f"{each} for job {name}" for each in problems]


def srun(cluster: Cluster, request: dict[str, Any]) -> dict[str, Any]:
    """Notes a step, which the process that asks then becomes."""
    parser = Parser("srun")
    parser.add_argument("-u", "--unbuffered", action="store_true")
    parser.add_argument("-o", "--output", default="")
    parser.add_argument("-e", "--error", default="")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(request["arguments"])
    number = request["environment"].get("SLURM_JOB_ID")
    for job in cluster.jobs:
        if str(job.id) == number and job.process:
            job.steps.append(request["process"])
            if job.outcome:
                job.signal_steps(signal.SIGTERM)
            paths = [job.path(each) if each else "" for each in (given.output, given.error)]
            return {"run": given.command, "paths": paths, "append": job.options["open_mode"] == "append"}
    raise RefusedError(f"srun: error: Unable to confirm allocation for job {number}: {INVALID_ID}")


def sacct(cluster: Cluster, request: dict[str, Any]) -> str:
    """The accounting of jobs, also of those that are over."""
    if not cluster.settings.accounting:
        raise RefusedError("Slurm accounting storage is disabled")
    parser = Parser("sacct")
    parser.add_argument("-o", "--format", required=True)
    parser.add_argument("-j", "--jobs", action="append", default=[])
    parser.add_argument("-P", "--parsable2", action="store_true", required=True)
    parser.add_argument("-n", "--noheader", action="store_true")
    parser.add_argument("-X", "--allocations", action="store_true")
    given = parser.parse_args(request["arguments"])
    fields, names = given.format.split(","), ",".join(given.jobs).split(",")
    lines = [] if given.noheader else ["|".join(fields)]
    for job in cluster.jobs:
        if given.jobs and not any(_is(job, name) for name in names):
            continue
        state = {"COMPLETING": "RUNNING", "CANCELLED": f"CANCELLED by {os.getuid()}"}.get(job.state, job.state)
        pending = job.state == "PENDING"
        values = {"State": state, "NodeList": "None assigned" if pending else job.node}
        values |= {"JobName": job.options["job_name"]}
        steps = [""] if pending or given.allocations else ["", ".batch", *[".0"][: len(job.steps)]]
        lines += ["|".join(({"JobID": job.name + step} | values)[each] for each in fields) for step in steps]
    return "".join(f"{line}\n" for line in lines)


def control(cluster: Cluster, request: dict[str, Any]) -> Any:
    """What only tests ask: what happens to machines, and what a cluster remembers of its jobs."""
    action, *arguments = request["arguments"]
    jobs = [job for job in cluster.jobs if arguments and _is(job, str(arguments[0]))]
    if action == "jobs":
        return [job.record() for job in cluster.jobs]
    if action == "preempt":
        (job,) = jobs
        cluster.preempt(job, *arguments[1:])
    elif action == "lose_node":
        cluster.lose_node(arguments[0])
    elif action == "restore_node":
        cluster.nodes[arguments[0]] = True
    elif action == "configure":
        for name, value in arguments[0].items():
            setattr(cluster.settings, name, value)
    return ""


COMMANDS: dict[str, Callable[[Cluster, dict[str, Any]], Any]] = {
    each.__name__: each for each in (sbatch, squeue, scancel, scontrol, srun, sacct, control)
}


def answer(cluster: Cluster, request: dict[str, Any]) -> dict[str, Any]:
    """What a command prints, and its status."""
    try:
        return {"out": COMMANDS[request["command"]](cluster, request), "err": "", "status": 0}
    except RefusedError as refused:
        return {"out": "", "err": f"{refused}\n", "status": refused.status}


def main(folder: str, nodes: int) -> None:
    """Answers commands until stdin is closed: the test has ended or was killed. Then kills all jobs."""
    cluster = Cluster(nodes)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        Path(folder, "port.new").write_text(str(server.getsockname()[1]))
        Path(folder, "port.new").rename(Path(folder, "port"))
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [], 0.02)
            if sys.stdin in ready:
                break
            if server in ready:
                client, _ = server.accept()
                with client, client.makefile("rw") as stream:
                    request = json.loads(stream.readline()) | {"cluster": folder}
                    json.dump(answer(cluster, request), stream)
            cluster.tick()
    for job in cluster.jobs:
        if job.process:
            cluster.finish(job)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
