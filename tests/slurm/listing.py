"""squeue and sacct: what waits, runs or has run."""

import os
import re
import time
from typing import Any

from slurm.controller import Cluster
from slurm.jobs import Job
from slurm.options import INVALID_ID, SHORT, USER, Parser, RefusedError, add_filters, filtered, is_named

HEADERS = {"i": "JOBID", "A": "JOBID", "F": "ARRAY_JOB_ID", "K": "ARRAY_TASK_ID", "T": "STATE", "t": "ST"}
HEADERS |= {"j": "NAME", "r": "REASON", "R": "NODELIST(REASON)", "N": "NODELIST", "u": "USER"}
HEADERS |= {"P": "PARTITION", "M": "TIME", "D": "NODES"}


def squeue(cluster: Cluster, request: dict[str, Any]) -> str:
    """The jobs that wait or run."""
    parser = Parser("squeue")
    parser.add_argument("-h", "--noheader", action="store_true")
    parser.add_argument("-r", "--array", action="store_true")
    parser.add_argument("-j", "--jobs")
    parser.add_argument("-o", "--format", default="%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R")
    add_filters(parser, states="PENDING,RUNNING,COMPLETING")
    given = parser.parse_args(request["arguments"])
    jobs = cluster.known()
    if given.jobs:
        names = given.jobs.split(",")
        if re.fullmatch(r"\d+", given.jobs) and not any(job for job in jobs if is_named(job, given.jobs)):
            raise RefusedError(f"slurm_load_jobs error: {INVALID_ID}")
        jobs = [job for job in jobs if any(is_named(job, name) for name in names)]
    jobs = filtered("squeue", jobs, given)
    lines = [] if given.noheader else [_line(given.format, HEADERS)]
    pending: dict[int | None, list[Job]] = {}
    for job in jobs:
        if job.state == "PENDING" and not given.array:
            pending.setdefault(job.array, []).append(job)
    for job in jobs:
        name, together = job.name, pending.get(job.array, []) if job.state == "PENDING" else []
        if job.array and len(together) > 1 and not all(each.runs for each in together):
            if job is not together[0]:
                continue  # unless all have run before, pending tasks share the line of the first
            numbers = _ranges([each.task for each in together if each.task is not None])
            name = f"{job.array}_[{numbers}%{job.throttle}]" if job.throttle else f"{job.array}_[{numbers}]"
        lines.append(_line(given.format, columns(cluster, job, name)))
    return "".join(f"{line}\n" for line in lines)


def columns(cluster: Cluster, job: Job, name: str) -> dict[str, str]:
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
    known = set(numbers)
    starts = [number for number in numbers if number - 1 not in known]
    ends = [number for number in numbers if number + 1 not in known]
    return ",".join(f"{a}-{b}" if a < b else str(a) for a, b in zip(starts, ends, strict=True))


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
    states = {"COMPLETING": "RUNNING", "CANCELLED": f"CANCELLED by {os.getuid()}"}
    lines = [] if given.noheader else ["|".join(fields)]
    for job in cluster.jobs:
        if given.jobs and not any(is_named(job, name) for name in names):
            continue
        pending = job.state == "PENDING"
        values = {"State": states.get(job.state, job.state), "JobName": job.options["job_name"]}
        values |= {"NodeList": "None assigned" if pending else job.node}
        steps = [""] if pending or given.allocations else ["", ".batch", ".0"]
        lines += ["|".join(({"JobID": job.name + step} | values)[each] for each in fields) for step in steps]
    return "".join(f"{line}\n" for line in lines)
