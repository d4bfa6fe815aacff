"""What happens to a study on a cluster: jobs cancelled, preempted, out of time, a node lost, Snakemake killed."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from tests.cluster.slurm_cluster import NODES, SlurmCluster
from tests.workflow.study import ROOT, Study

POLLING = ("--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10", "--slurm-logdir", "slurm_logs")
"""The site values of a cluster whose jobs take seconds; the logs are kept apart from the results."""


def on_slurm(study: Study, *arguments: str) -> list[str]:
    """Return the command that runs a study through the profile for SLURM."""
    profile = ROOT / "profiles" / "slurm"
    return study.command("run", *arguments, "--profile", str(profile), *POLLING, program="evidence-hpo")


class Run:
    """A command in a study's folder that may be killed and started again."""

    def __init__(self, study: Study, command: list[str]) -> None:
        self.study, self.command = study, command
        self.output = study.folder / "output.txt"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**self.study.environment, "OMP_NUM_THREADS": "1"}
        with self.output.open("ab") as output:
            return subprocess.Popen(self.command, cwd=self.study.folder, env=environment, stdout=output, stderr=output)

    def kill_and_restart(self) -> None:
        """Kill Snakemake and what started it, so that its SLURM jobs run on, and start the same command again."""
        self.end()
        self.process = self._start()

    def end(self) -> None:
        """Kill the command and its Snakemake, if they still run."""
        if self.process.poll() is None:
            command = psutil.Process(self.process.pid)
            for member in (command, *command.children()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            self.process.wait()

    def text(self) -> str:
        """Return what the command has printed."""
        return self.output.read_text(encoding="utf-8") if self.output.exists() else ""


class Faults:
    """Faults in a fixed order, each as soon as a running job is there for it to hit, with a pause between two."""

    def __init__(self, cluster: SlurmCluster, run: Run, seed: int) -> None:
        self.cluster, self.run = cluster, run
        self.choices = random.Random(seed)
        self.done: list[str] = []
        self.minutes = 0.0, 0.0
        """Minutes of the job whose time was used up, and of the one in its place."""
        self._lost: str | None = None
        self._last_orphan = 0
        """Jobs up to this one are of a Snakemake that was killed; nobody starts them again."""
        self._waiting = ["cancel", "requeue", "lose_node", "kill_snakemake", "cancel", "end_time", "cancel"]

    def until_the_end(self, seconds: float) -> int:
        """Let everything happen; return the exit code of the command."""
        end, pause_until = time.monotonic() + seconds, 0.0
        while self.run.process.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError(f"not finished after {seconds:g} s; done: {self.done}\n{self.run.text()[-4000:]}")
            running = [job for job in self.cluster.jobs("RUNNING") if int(job) > self._last_orphan]
            if running and self._waiting and time.monotonic() > pause_until:
                self._give_node_back()
                with contextlib.suppress(subprocess.CalledProcessError):  # the job has just ended: another one then
                    getattr(self, f"_{self._waiting[0]}")(self.choices.choice(running))
                    self.done.append(self._waiting.pop(0))
                pause_until = time.monotonic() + self.choices.uniform(2.0, 6.0)
            time.sleep(0.5)
        self._give_node_back()
        return self.run.process.returncode

    def _give_node_back(self) -> None:
        if self._lost is not None:
            self.cluster.give_back(self._lost)
            self._lost = None

    def _cancel(self, job: str) -> None:
        self.cluster.query("scancel", job)

    def _requeue(self, job: str) -> None:
        self.cluster.requeue(job)

    def _lose_node(self, job: str) -> None:
        """Take a node away until the next fault: SLURM starts its jobs elsewhere, while here they run on unnoticed."""
        self._lost = self.cluster.node_of(job) or NODES[0]
        self.cluster.query("scontrol", "update", f"NodeName={self._lost}", "State=DOWN", "Reason=test")
        for waiting in self.cluster.jobs("PENDING"):
            self.cluster.start_now(waiting)

    def _kill_snakemake(self, job: str) -> None:
        self._last_orphan = max(map(int, self.cluster.jobs("all")))
        self.run.kill_and_restart()

    def _end_time(self, job: str) -> None:
        """Let a job's time be used up, and see what the one in its place may take."""
        before = self.cluster.minutes(job)
        self.cluster.query("scontrol", "update", f"JobId={job}", "EndTime=now")
        # FAILED where the warning of `--signal` was enough to end it.
        _wait_for(lambda: self.cluster.state(job) in {"TIMEOUT", "FAILED"}, "the time limit")
        _wait_for(lambda: self.cluster.next_of(job) is not None, "the job in its place")
        self.minutes = before, self.cluster.minutes(self.cluster.next_of(job) or "")


def wait_for_text(path: Path, text: str, seconds: float) -> str:
    """Wait until a file holds ``text``; return its content."""
    _wait_for(lambda: path.exists() and text in path.read_text(encoding="utf-8"), f"'{text}' in {path}", seconds)
    return path.read_text(encoding="utf-8")


def _wait_for(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not after {seconds:g} s")
        time.sleep(0.3)
