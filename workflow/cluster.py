"""What a build on a cluster tells: what is missing, why jobs wait, and what became of those that failed.

    python workflow/cluster.py slurm|kubernetes     # one sentence where a build on it could not start
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

#: What a way out to a cluster is made of: Snakemake's plugin, and a command that reaches it.
PARTS = {"slurm": ("snakemake_executor_plugin_slurm", "sbatch"),
         "kubernetes": ("snakemake_executor_plugin_cluster_generic", "kubectl")}
SETTINGS = "workflow/profiles/slurm/config.yaml"
PREFIX = "matlib_"  # of our jobs' names, from the profile
#: What SLURM calls an end, in words.
ENDS = {
    "TIMEOUT": f"ran out of its time (`runtime` in {SETTINGS})",
    "OUT_OF_MEMORY": f"needed more memory than it had asked for (`mem_mb` in {SETTINGS})",
    "CANCELLED": "was cancelled",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "got a node that did not start",
    "DEADLINE": "could not end before its deadline",
    "FAILED": "failed",
}
#: Why it lets jobs wait, in words; other reasons are told by SLURM's name for them.
WAITS = {
    "Resources": "for free nodes",
    "Priority": "behind jobs of a higher priority",
    "BeginTime": "for a time to begin, as after the loss of a node",
    "PartitionDown": "as their partition is closed",
    "PartitionTimeLimit": f"for ever: they ask for more time than their partition gives (`runtime` in {SETTINGS})",
    "PartitionNodeLimit": "for ever: their partition is too small for them",
    "PartitionConfig": "for ever: their partition has not what they ask for",
    "BadConstraints": "for ever: no node is as they want it",
    "ReqNodeNotAvail": "for nodes that are down, drained or reserved",
    "Nodes required": "for nodes that are down, drained or reserved",
}
REFUSED = re.compile(r"SLURM sbatch failed\. The error message was '(.*?)'\.?\n", re.DOTALL)
ENDED = re.compile(r"SLURM-job '(\w+)' failed.*?SLURM status is: '(\w+)'", re.DOTALL)
FIELDS = {"JobID": 20, "RestartCnt": 12, "State": 20, "Name": 80, "Reason": 200, "WorkDir": 4096}


def missing(name: str) -> str | None:
    """A sentence that says what a build on this kind of cluster wants and cannot find; None where all is there."""
    plugin, command = PARTS.get(name, (None, None))
    if plugin and not importlib.util.find_spec(plugin):
        return f'ON={name} needs the packages of the extra "cluster": .venv/bin/pip install -e ".[cluster]"'
    if command and not shutil.which(command):
        return f"ON={name} starts its jobs with {command}, which is not here; give the command on a machine that has it"
    return None


def failure(message: str | None, logs: list[str]) -> str:
    """What became of a job, from what the executor says and the job's log; empty where the job has said it here."""
    message = message or ""
    if refused := REFUSED.search(message):
        said = "; ".join(line.removeprefix("sbatch: ").removeprefix("error: ") for line in refused[1].splitlines())
        return f": SLURM refused the job: {said} (what it asks for: {SETTINGS}, GPUS)"
    if not (ended := ENDED.search(message)):
        return ""
    job, state = ended.groups()
    return f": SLURM job {job} {ENDS.get(state, f'ended as {state}')}{_last_error(logs)}"


def _last_error(logs: list[str]) -> str:
    for log in logs:
        if log and Path(log).is_file():
            errors = [line for line in Path(log).read_text(errors="replace").splitlines() if line.startswith("error: ")]
            return f", {errors[-1]} (log: {log})" if errors else f" (log: {log})"
    return ""


@dataclass(frozen=True)
class Job:
    number: str
    restarts: int
    state: str
    reason: str


def jobs(folder: Path) -> list[Job]:
    """Those that builds in this folder have in SLURM's queue; none where SLURM does not answer."""
    columns = ",".join(f"{name}:{width}" for name, width in FIELDS.items())
    command = ["squeue", "--me", "--noheader", f"--Format={columns}"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
    return [Job(number, int(restarts), state, reason) for line in lines
            for number, restarts, state, name, reason, where in [_columns(line)]
            if name.startswith(PREFIX) and Path(where).resolve() == folder.resolve()]


def _columns(line: str) -> list[str]:
    ends = list(accumulate(FIELDS.values()))
    return [line[start:end].strip() for start, end in zip([0, *ends], ends)]


class Watch(threading.Thread):
    """Tells on the terminal why jobs wait, each reason once, and which ones SLURM has started again."""

    def __init__(self, folder: Path, seconds: float = 30) -> None:
        super().__init__(daemon=True)
        self.folder, self.seconds, self.told, self.restarts = folder, seconds, set(), Counter()

    def run(self) -> None:
        stop = threading.Event()
        while not stop.wait(self.seconds):
            for line in self.news(jobs(self.folder)):
                print(line, file=sys.stderr, flush=True)

    def news(self, queue: list[Job]) -> list[str]:
        """What has changed since the last call."""
        lines = []
        for job in queue:
            if job.restarts > self.restarts[job.number]:
                self.restarts[job.number] = job.restarts
                lines.append(f"SLURM starts job {job.number} again, its node was lost or taken; "
                             "training goes on from its last epoch.")
        waiting = Counter(job.reason for job in queue if job.state == "PENDING" and job.reason != "None")
        for reason in waiting.keys() - self.told:
            words = next((f" {words}" for known, words in WAITS.items() if reason.startswith(known)), "")
            wait = "1 job waits" if waiting[reason] == 1 else f"{waiting[reason]} jobs wait"
            lines.append(f"{wait} in SLURM{words}: {reason}")
        self.told |= waiting.keys()
        return lines


def main() -> None:
    if lack := missing(sys.argv[1]):
        sys.exit(f"error: {lack}")


if __name__ == "__main__":
    main()
