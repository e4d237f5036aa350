"""squeue and sacct: what waits, runs or has run."""

import os
import re
import time
from typing import Any

from slurm.controller import Cluster
from slurm.jobs import Job
from slurm.options import INVALID_ID, SHORT, USER, Parser, RefusedError, add_filters, filtered, is_named


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
        lines.append(_line(given.format, columns(cluster, job, name)))
    return "".join(f"{line}\n" for line in lines)


HEADERS = {"i": "JOBID", "A": "JOBID", "F": "ARRAY_JOB_ID", "K": "ARRAY_TASK_ID", "T": "STATE", "t": "ST"}
HEADERS |= {"j": "NAME", "r": "REASON", "R": "NODELIST(REASON)", "N": "NODELIST", "u": "USER"}
HEADERS |= {"P": "PARTITION", "M": "TIME", "D": "NODES"}


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
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
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
    lines = [] if given.noheader else ["|".join(fields)]
    for job in cluster.jobs:
        if given.jobs and not any(is_named(job, name) for name in names):
            continue
        state = {"COMPLETING": "RUNNING", "CANCELLED": f"CANCELLED by {os.getuid()}"}.get(
            job.state, job.state
        )
        pending = job.state == "PENDING"
        values = {"State": state, "NodeList": "None assigned" if pending else job.node}
        values |= {"JobName": job.options["job_name"]}
        steps = [""] if pending or given.allocations else ["", ".batch", ".0"]
        lines += ["|".join(({"JobID": job.name + step} | values)[each] for each in fields) for step in steps]
    return "".join(f"{line}\n" for line in lines)
