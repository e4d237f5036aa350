"""The controller's process: it answers the commands, with the texts and statuses of Slurm 24.11."""

import argparse
import contextlib
import json
import re
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slurm.controller import Cluster
from slurm.jobs import Job
from slurm.listing import columns, sacct, squeue
from slurm.options import INVALID_ID, Parser, RefusedError, add_filters, filtered, is_named
from slurm.submission import sbatch


def scancel(cluster: Cluster, request: dict[str, Any]) -> str:
    """Ends jobs, or signals their steps; ids that are not known are passed over in silence."""
    parser = Parser("scancel")
    parser.add_argument("-s", "--signal")
    parser.add_argument("ids", nargs="*")
    add_filters(parser, states="")
    given = parser.parse_args(request["arguments"])
    if not (given.ids or given.me or given.user or given.name or given.state):
        raise RefusedError("scancel: error: No job identification provided")
    for name in given.ids:
        if not re.fullmatch(r"\d+(_\d+)?", name):
            raise RefusedError(f"scancel: error: Invalid job id {name}")
    for job in filtered("scancel", cluster.known(), given):
        if given.ids and not any(is_named(job, name) for name in given.ids):
            continue
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
            settings = cluster.settings
            values = {"JobRequeue": 1, "KillWait": f"{settings.kill_wait:g} sec"}
            values |= {"MaxArraySize": settings.max_array_size, "SLURM_VERSION": "24.11.5"}
            return "".join(f"{name:<23} = {value}\n" for name, value in values.items())
        case ["show", "job", name, *_]:
            jobs = [job for job in cluster.known() if is_named(job, name)]
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
    shown = columns(cluster, job, job.name)
    return (
        f"JobId={job.id}{array} JobName={job.options['job_name']}\n"
        f"   JobState={job.state} Reason={shown['r']} Dependency=(null)\n"
        f"   Requeue={job.options['requeue'] or 0} Restarts={job.restarts} BatchFlag=1\n"
        f"   Partition={job.options['partition']}\n   NodeList={shown['N']}\n   WorkDir={job.folder}\n"
        f"   StdErr={job.path(job.options['error'] or job.options['output'])}\n"
        f"   StdOut={job.path(job.options['output'])}\n"
    )


def _requeued(cluster: Cluster, name: str) -> list[str]:
    """Requeues a job or an array; what is wrong with that."""
    jobs = [job for job in cluster.known() if is_named(job, name)]
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
    for job in cluster.running:
        if str(job.id) == number:
            job.steps.append(request["process"])
            if job.outcome:
                job.signal_steps(signal.SIGTERM)
            paths = [str(job.path(each)) if each else "" for each in (given.output, given.error)]
            return {"run": given.command, "paths": paths, "append": job.options["open_mode"] == "append"}
    raise RefusedError(f"srun: error: Unable to confirm allocation for job {number}: {INVALID_ID}")


def control(cluster: Cluster, request: dict[str, Any]) -> Any:
    """What only tests ask: what happens to machines, and what a cluster remembers of its jobs."""
    match request["arguments"]:
        case ["jobs"]:
            return [job.record() for job in cluster.jobs]
        case ["configure", dict(settings)]:
            for name, value in settings.items():
                setattr(cluster.settings, name, value)
        case ["lose_node", node]:
            cluster.lose_node(node)
        case ["restore_node", node]:
            cluster.nodes[node] = True
        case [("preempt" | "time_out") as action, name, *arguments]:
            (job,) = (job for job in cluster.running if name == job.name)
            getattr(cluster, action)(job, *arguments)
    return None


COMMANDS: dict[str, Callable[[Cluster, dict[str, Any]], Any]] = {
    each.__name__: each for each in (sbatch, squeue, scancel, scontrol, srun, sacct, control)
}


def answer(cluster: Cluster, request: dict[str, Any]) -> dict[str, Any]:
    """What a command prints, and its status."""
    try:
        return {"out": COMMANDS[request["command"]](cluster, request), "err": "", "status": 0}
    except RefusedError as refused:
        return {"out": "", "err": f"{refused}\n", "status": refused.status}


def converse(cluster: Cluster, folder: str, client: socket.socket) -> None:
    """Answers one command, if it lives long enough to ask and to listen."""
    line = b""
    with contextlib.suppress(OSError), client.makefile("rb") as stream:
        line = stream.readline()
    if line.endswith(b"\n"):
        reply = answer(cluster, json.loads(line) | {"cluster": folder})
        with contextlib.suppress(OSError):
            client.sendall(json.dumps(reply).encode())


def main(folder: str, nodes: int) -> None:
    """Answers commands until stdin is closed: the test has ended or was killed. Then kills all jobs."""
    cluster = Cluster(nodes)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        Path(folder, "port.new").write_text(str(server.getsockname()[1]))
        Path(folder, "port.new").rename(Path(folder, "port"))
        try:
            while True:
                ready, _, _ = select.select([server, sys.stdin], [], [], 0.02)
                if sys.stdin in ready:
                    break
                if server in ready:
                    with server.accept()[0] as client:
                        converse(cluster, folder, client)
                cluster.tick()
        finally:
            for job in list(cluster.running):
                cluster.finish(job)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
