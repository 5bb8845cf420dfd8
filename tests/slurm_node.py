"""A real Slurm of one node, started without systemd, for tests: munged, slurmctld and slurmd under one folder.

Needs the Debian packages slurm-wlm and munge (apt-get install --no-install-recommends slurm-wlm munge).
"""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
SBIN = "/usr/sbin:/usr/bin:/sbin:/bin"
ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={base}/munge/socket,cred_expire=5
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmdPidFile={base}/run/slurmd.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
MailProg=/bin/true
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=0,batch_sched_delay=0,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait=5
InactiveLimit=0
MinJobAge=600
CompleteWait=0
MaxArraySize=10001
NodeName={host} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES PriorityTier=10 MaxTime=INFINITE DefaultTime=30 State=UP
PartitionName=low Nodes={host} Default=NO PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 State=UP
"""


def missing() -> str:
    """Why there can be no Slurm here, or an empty string."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}") is None]
    if not lacking:
        return ""
    return f"no {', '.join(lacking)}: apt-get install --no-install-recommends slurm-wlm munge"


class OneNode:
    """Slurm on this machine; use it as a context, with a folder of a short name (sockets have short names)."""

    def __init__(self, base: Path, cpus: int) -> None:
        self.base, self.cpus = base, cpus
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM")},
            "PATH": f"{os.environ.get('PATH', '')}:{SBIN}",
            "SLURM_CONF": str(base / "slurm.conf"),
        }
        self._pids: list[int] = []

    def __enter__(self) -> "OneNode":
        self.base.chmod(0o755)  # munged wants its socket to be there for all
        for name in ("munge", "state", "spool", "run", "log"):
            (self.base / name).mkdir(parents=True, mode=0o755)
        key = self.base / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (self.base / "state").chmod(0o700)
        found = subprocess.run(["slurmd", "-C"], capture_output=True, text=True, env=self.environment, check=True)
        memory = int(re.findall(r"RealMemory=(\d+)", found.stdout)[0]) * 9 // 10
        host, ports = socket.gethostname().partition(".")[0], _free_ports(2)
        text = CONF.format(
            host=host, ports=ports, user=getpass.getuser(), base=self.base, cpus=self.cpus, memory=memory
        )
        (self.base / "slurm.conf").write_text(text)
        munge = [
            "munged", f"--key-file={key}", f"--socket={self.base}/munge/socket", f"--pid-file={self.base}/munge/pid",
            f"--log-file={self.base}/log/munged.log", f"--seed-file={self.base}/munge/seed", "--num-threads=2",
        ]  # fmt: skip
        try:
            for command in (munge, ["slurmctld"], ["slurmd"]):
                self.call(*command)
            wait_until(self._is_up, 60, "Slurm to be up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_up(self) -> bool:
        state = self.call("sinfo", "--noheader", "--partition=main", "--format=%t", check=False)
        return state in ("idle", "mix", "alloc")

    def __exit__(self, *_: object) -> None:
        self.call("scancel", f"--user={getpass.getuser()}", check=False)
        with suppress(TimeoutError):  # Slurm ends what runs, within KillWait
            wait_until(lambda: not self.call("squeue", "--noheader", check=False), 15, "an empty queue")
        for name in ("run/slurmd.pid", "run/slurmctld.pid", "munge/pid"):
            path = self.base / name
            if path.exists():
                _end(int(path.read_text()))
        for pid in self.processes():
            _end(pid)
        shutil.rmtree(self.base, ignore_errors=True)

    def processes(self) -> list[int]:
        """All that runs here: daemons, and whatever jobs started."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"={self.base}/".encode() in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                    found.append(int(folder.name))
        return found

    def call(self, *command: str, check: bool = True) -> str:
        """What a command says; raises RuntimeError where it fails."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=120, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout.strip()

    def facts(self, job: str, name: str) -> dict[str, str]:
        """What Slurm says of each task of an array (of a job: "") under a name: JobState, Restarts, ..."""
        found = {}
        for line in self.call("scontrol", "show", "job", "-o", job, check=False).splitlines():
            task = re.search(r" ArrayTaskId=(\S+)", line)
            fact = re.search(rf" {name}=(\S+)", line)
            if fact:
                found[task[1] if task else ""] = fact[1]
        return found

    def states(self, job: str) -> dict[str, str]:
        """The state of each task of an array (of a job: "")."""
        return self.facts(job, "JobState")

    def wait(self, job: str, seconds: float, ends: tuple[str, ...] = ENDS) -> dict[str, str]:
        """Wait until all tasks of a job have ended; their states."""

        def over() -> bool:
            states = self.states(job)
            return bool(states) and all(state.startswith(ends) for state in states.values())

        wait_until(over, seconds, lambda: f"job {job} to end ({self.states(job)})")
        return self.states(job)


def wait_until(condition: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> None:
    """Wait for a condition; raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(0.2)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for own in sockets:
        own.bind(("127.0.0.1", 0))
    ports = [own.getsockname()[1] for own in sockets]
    for own in sockets:
        own.close()
    return ports


def _end(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
            with suppress(TimeoutError):
                wait_until(lambda: not _lives(pid), 5, "a daemon to end")
                return
        except ProcessLookupError:
            return


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended may stay, as a zombie, until its parent looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
