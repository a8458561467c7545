"""A real SLURM on this machine: a controller and two nodes, in one folder, for whoever starts it; root is not needed.

    python tests/cluster/local_slurm.py start FOLDER     # prints what a shell has to set to use it
    python tests/cluster/local_slurm.py stop FOLDER

It wants Debian's packages slurm-wlm and munge, and none of their services. The nodes say that they have more than the
machine has: what is tested is what is asked for, and what becomes of jobs.
"""

import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

NODES = ("node1", "node2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
#: A node that does not answer is given up after SlurmdTimeout seconds; what does not end is killed after KillWait.
CONFIGURATION = """
ClusterName=matlib
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
ReturnToService=2
"""


class Slurm:
    """The cluster whose configuration, logs and process numbers lie in `folder`; a short path, for a socket's sake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
        self.environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Returns when both nodes wait for work. Raises RuntimeError, with what the log says, where they do not."""
        self._configure()
        self._run("munged", f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/munge.key",
                  f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
                  f"--seed-file={self.folder}/munge.seed", "--num-threads=2", "--force")
        self._run("slurmctld", "-c")
        for node in NODES:
            self.start_node(node)
        if not self.wait(lambda: self.states() == ["idle"] * len(NODES), 60):
            log = (self.folder / "slurmctld.log").read_text()
            raise RuntimeError(f"the nodes are {self.states()}, not idle, after a minute:\n{log[-2000:]}")

    def start_node(self, node: str) -> None:
        self._run("slurmd", "-N", node)

    def stop(self) -> None:
        """Ends the daemons and the jobs; what they wrote stays."""
        with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired, FileNotFoundError):
            self._run("scancel", "--user", pwd.getpwuid(os.getuid()).pw_name)
            self.wait(lambda: not self._run("squeue", "--noheader"), 15)
        for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged"):
            self._end(name, signal.SIGTERM)

    def lose(self, node: str) -> None:
        """Ends a node as a power cut does: its daemon and all that its jobs run, at once and unannounced."""
        self._end(f"slurmd-{node}", signal.SIGKILL)
        jobs = [process for process in psutil.process_iter() if self._runs_on(process, node)]
        for process in [parent for job in jobs for parent in _step_daemons(job)] + jobs:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(jobs, timeout=10)

    def states(self) -> list[str]:
        return self._run("sinfo", "--noheader", "--Node", "--format=%T").split()

    def wait(self, condition, seconds: float) -> bool:
        end = time.time() + seconds
        while time.time() < end:
            with suppress(subprocess.CalledProcessError):
                if condition():
                    return True
            time.sleep(0.5)
        return False

    def _runs_on(self, process: psutil.Process, node: str) -> bool:
        with suppress(psutil.Error):
            environment = process.environ()
            return (environment.get("SLURMD_NODENAME") == node
                    and environment.get("SLURM_CONF") == self.environment["SLURM_CONF"])
        return False

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munge trusts no folder that others write into
        (self.folder / "state").mkdir(exist_ok=True)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller, *ports = _free_ports(1 + len(NODES))
        text = CONFIGURATION.format(folder=self.folder, host=socket.gethostname().partition(".")[0],
                                    user=pwd.getpwuid(os.getuid()).pw_name, controller=controller)
        for node, port in zip(NODES, ports, strict=True):
            text += (f"NodeName={node} NodeHostname={socket.gethostname().partition('.')[0]} NodeAddr=127.0.0.1 "
                     f"Port={port} CPUs=16 RealMemory=64000 State=UNKNOWN\n")
        text += f"PartitionName=work Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP\n"
        (self.folder / "slurm.conf").write_text(text)
        self._write_srun()

    def _write_srun(self) -> None:
        """Snakemake's job step forgets SLURM_CONF, as elsewhere the configuration lies in /etc."""
        srun = self.folder / "bin" / "srun"
        srun.parent.mkdir(exist_ok=True)
        srun.write_text(f"#!/bin/sh\nSLURM_CONF='{self.folder}/slurm.conf' exec {shutil.which('srun')} \"$@\"\n")
        srun.chmod(0o755)

    def _run(self, program: str, *arguments: str) -> str:
        path = shutil.which(program, path=self.environment["PATH"])
        return subprocess.run([path, *arguments], env=self.environment, check=True, stdout=subprocess.PIPE,
                              text=True, timeout=30).stdout

    def _end(self, name: str, how: signal.Signals) -> None:
        pid = self.folder / f"{name}.pid"
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            number = int(pid.read_text())
            os.kill(number, how)
            self.wait(lambda: not psutil.pid_exists(number), 15)


def _step_daemons(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [parent for parent in process.parents() if parent.name() == "slurmstepd"]
    return []


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def missing() -> list[str]:
    """The programs of SLURM and munge that are not installed here."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [program for program in PROGRAMS if not shutil.which(program, path=path)]


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in ("start", "stop"):
        sys.exit(f"usage: {sys.argv[0]} start|stop FOLDER")
    if absent := missing():
        sys.exit(f"error: {', '.join(absent)} not found; on Debian: apt-get install slurm-wlm munge")
    cluster = Slurm(Path(sys.argv[2]))
    if sys.argv[1] == "stop":
        return cluster.stop()
    try:
        cluster.start()
    except RuntimeError as error:
        cluster.stop()
        sys.exit(f"error: {error}")
    for name in ("SLURM_CONF", "PATH"):
        print(f"export {name}={shlex.quote(cluster.environment[name])}")


if __name__ == "__main__":
    main()
