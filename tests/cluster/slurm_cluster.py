"""A real SLURM on this machine: one controller and several nodes on the loopback interface, with fake GPUs.

It needs root and the Debian packages ``slurmctld slurmd slurm-client munge``. Clients find a cluster by
``/etc/slurm/slurm.conf`` only, because Snakemake's executor clears SLURM's variables inside a job; so a machine that
already belongs to a cluster is left alone.

``python -m tests.cluster.slurm_cluster`` starts one to try things on, until it is interrupted.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CONFIGURATION = Path("/etc/slurm/slurm.conf")
CARDS = CONFIGURATION.with_name("gres.conf")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol")
MARK = "# Written by the tests of evidence-hpo; their cluster lies in "

NODES = ("n1", "n2", "n3")
CARDS_PER_NODE = 2


def missing() -> str | None:
    """Return why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "a SLURM of one's own needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (apt-get install slurmctld slurmd slurm-client munge)"
    if CONFIGURATION.exists() and not CONFIGURATION.read_text(encoding="utf-8").startswith(MARK):
        return f"{CONFIGURATION} is of another cluster"
    return None


@dataclass
class SlurmCluster:
    """A controller and nodes whose files lie in ``folder``."""

    folder: Path
    _daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the cluster, which its jobs have in their environment."""
        return f"tests{os.getpid()}"

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        self._write_configuration()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        files = {name: self.folder / f"munge.{name}" for name in ("socket", "pid", "log", "seed")}
        places = [f"--{option}={files[name]}" for option, name in _MUNGE_OPTIONS.items()]
        self._spawn("munged", "--foreground", "--force", f"--key-file={key}", *places)
        _wait(files["socket"].exists, "munged")
        self._spawn("slurmctld", "-D", "-c")
        for node in NODES:
            self._spawn("slurmd", "-D", "-N", node)
        _wait(lambda: self.query("sinfo", "-h", "-o", "%T %D").split() == ["idle", str(len(NODES))], "the nodes")

    def stop(self) -> None:
        """Cancel what runs, end the daemons and remove their files under /etc."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.query("scancel", "--user=root")
            _wait(lambda: not self.query("squeue", "-h"), "the last jobs", seconds=20)
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process in self._processes():  # as on a node that was lost, which never heard of the end
            process.kill()
        for path in (CONFIGURATION, CARDS):
            path.unlink(missing_ok=True)

    def query(self, *command: str) -> str:
        """Run a SLURM command and return what it printed."""
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        return finished.stdout.strip()

    def jobs(self, *states: str) -> list[str]:
        """Return the ids of the jobs in the given states, in the order of their ids."""
        listed = self.query("squeue", "-h", "-o", "%A", "-t", ",".join(states))
        return sorted(set(listed.split()), key=int)

    def state(self, job: str) -> str:
        """Return the state of a job, whether it has ended or not."""
        return self.query("squeue", "-h", "-t", "all", "-o", "%T", "-j", job)

    def node_of(self, job: str) -> str:
        """Return the node of a running job; empty if it does not run."""
        return self.query("squeue", "-h", "-o", "%N", "-j", job)

    def minutes(self, job: str) -> float:
        """Return the time limit of a job."""
        limit = self.query("scontrol", "show", "job", job, "-o").split("TimeLimit=")[1].split()[0]
        days, _, clock = limit.rpartition("-")
        hours, minutes, seconds = map(int, clock.split(":"))
        return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60

    def next_of(self, job: str) -> str | None:
        """Return the job that was submitted in place of another, of which Snakemake made the same comment."""
        comments = dict(
            line.split(maxsplit=1) for line in self.query("squeue", "-h", "-t", "all", "-o", "%A %k").splitlines()
        )
        later = [other for other, comment in comments.items() if int(other) > int(job) and comment == comments[job]]
        return min(later, key=int, default=None)

    def give_back(self, node: str) -> None:
        """Let a node that was set down take jobs again."""
        self.query("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def requeue(self, job: str) -> None:
        """Put a running job back into the queue, as a preemption does, and let it begin without a wait."""
        self.query("scontrol", "requeue", job)
        _wait(lambda: not self._processes(job), f"the end of job {job}", seconds=60)
        time.sleep(2.0)  # in which its node tells the controller
        self.start_now(job)

    def start_now(self, job: str) -> None:
        """Let a requeued job begin; SLURM would wait two minutes, so that nothing of it is left on its old node."""
        _wait(lambda: self.state(job) == "PENDING", f"job {job}", seconds=60)
        self.query("scontrol", "update", f"JobId={job}", "StartTime=now")

    def _processes(self, job: str | None = None) -> list[psutil.Process]:
        """Return the processes of a job, or of all jobs."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                variables = process.environ()
                if variables.get("SLURM_CLUSTER_NAME") == self.name and job in {None, variables.get("SLURM_JOB_ID")}:
                    found.append(process)
        return found

    def _write_configuration(self) -> None:
        host = socket.gethostname().split(".")[0]
        cards = self.folder / "cards"
        cards.mkdir()
        for number in range(CARDS_PER_NODE):
            os.mknod(cards / f"card{number}", 0o20666, os.makedev(1, 3))
        CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
        text = _CONFIGURATION.format(mark=MARK, name=self.name, folder=self.folder, host=host, cards=CARDS_PER_NODE)
        CONFIGURATION.write_text(text, encoding="utf-8")
        names = ",".join(NODES)
        line = f"NodeName={names} Name=gpu Type=fake File={cards}/card[0-{CARDS_PER_NODE - 1}]\n"
        CARDS.write_text(line, encoding="utf-8")

    def _spawn(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        self._daemons.append(process)


_MUNGE_OPTIONS = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}

_CONFIGURATION = """{mark}{folder}
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=1
MinJobAge=3600
KillWait=10
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdSpoolDir={folder}/spool.%n
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17003 CPUs=4 RealMemory=16000 Gres=gpu:fake:{cards}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=17004 CPUs=4 RealMemory=16000 Gres=gpu:fake:{cards}
NodeName=n3 NodeHostname={host} NodeAddr=127.0.0.1 Port=17005 CPUs=4 RealMemory=16000 Gres=gpu:fake:{cards}
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
"""


def _wait(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            if condition():
                return
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not ready after {seconds:g} s")
        time.sleep(0.2)


def main() -> None:
    reason = missing()
    if reason is not None:
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = SlurmCluster(Path(folder))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            cluster.start()
            print(f"{cluster.query('sinfo')}\nCtrl-C ends it", flush=True)
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            print("ends")
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
