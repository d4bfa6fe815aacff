"""Leases of GPUs, by real processes on the cards of a fake ``nvidia-smi``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.errors import StorageError
from evidence_hpo.leases import LEASES_VARIABLE, Card, cards_of, take_card, visible_cards

LISTING = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 2g.10gb     Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-e86cb44c-6756-fd30-cd4a-1e6da3caf9b0)
"""
FIRST, SECOND, WHOLE = cards_of(LISTING)

JOB = """
import os, sys, time
from pathlib import Path
from evidence_hpo.leases import take_card

def lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

card = take_card()
use = Path(sys.argv[1]) / card
try:
    descriptor = os.open(use, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
except FileExistsError:
    # Left by a killed job, whose lock the kernel frees a moment before the process is gone; else the card is shared.
    owner = use.read_text()
    end = time.monotonic() + 1.0
    while lives(owner):
        if time.monotonic() > end:
            sys.exit("SHARED with " + owner)
        time.sleep(0.02)
    descriptor = os.open(use, os.O_TRUNC | os.O_WRONLY)
os.write(descriptor, str(os.getpid()).encode())
assert os.environ["CUDA_VISIBLE_DEVICES"] == card
print(card, flush=True)
time.sleep(float(sys.argv[2]))
use.unlink()
"""


def fake_machine(folder: Path, cards: int) -> dict[str, str]:
    """Return the environment of jobs on a machine with so many cards and no lease taken."""
    lines = [f"GPU {number}: Fake (UUID: GPU-{number:08d}-0000)" for number in range(cards)]
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    unset = {"CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "EVIDENCE_HPO_LEASED_GPU"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path, LEASES_VARIABLE: str(folder / "leases")}


def start_jobs(folder: Path, environment: dict[str, str], seconds: Sequence[float]) -> list[subprocess.Popen[str]]:
    (folder / "use").mkdir(exist_ok=True)
    return [
        subprocess.Popen(
            [sys.executable, "-c", JOB, str(folder / "use"), str(time_of_job)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for time_of_job in seconds
    ]


def first_line(job: subprocess.Popen[str]) -> str:
    assert job.stdout is not None
    return job.stdout.readline().strip()


def test_a_divided_gpu_is_its_parts() -> None:
    assert [(card.gpu, card.uuid[:8]) for card in (FIRST, SECOND, WHOLE)] == [
        (0, "MIG-c738"),
        (0, "MIG-a28a"),
        (1, "GPU-e86c"),
    ]
    assert FIRST.gpu_uuid == SECOND.gpu_uuid == "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77"
    assert cards_of("No devices were found\n") == []


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [FIRST, SECOND, WHOLE]),
        ("", []),
        ("-1", []),
        ("1", [WHOLE]),
        ("1,0", [WHOLE, FIRST, SECOND]),
        ("1,7,0", [WHOLE]),
        ("GPU-e86c", [WHOLE]),
        ("MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d, 1", [SECOND, WHOLE]),
        ("GPU-5d5b,MIG-c7384736-a75d-5afc-978f-d2f1294409fd", [FIRST, SECOND]),
        ("GPU-", []),
    ],
)
def test_a_restriction_is_respected(visible: str | None, expected: list[Card]) -> None:
    assert visible_cards([FIRST, SECOND, WHOLE], visible) == expected


@given(st.lists(st.integers(-2, 9).map(str), max_size=6))
def test_only_listed_cards_are_used_and_each_once(entries: list[str]) -> None:
    cards = cards_of("".join(f"GPU {number}: Fake (UUID: GPU-{number:08d}-0000)\n" for number in range(5)))
    numbers = [str(card.gpu) for card in visible_cards(cards, ",".join(entries))]
    known = entries[: next((place for place, entry in enumerate(entries) if not 0 <= int(entry) < 5), len(entries))]
    assert numbers == list(dict.fromkeys(known))


def test_twelve_jobs_of_which_a_third_is_killed_share_no_card_and_lose_none(tmp_path: Path) -> None:
    environment = fake_machine(tmp_path, cards=4)
    to_kill = start_jobs(tmp_path, environment, [60.0] * 4)
    held = {first_line(job) for job in to_kill}
    assert len(held) == 4, "four jobs have the four cards"
    others = start_jobs(tmp_path, environment, [0.3, 0.5, 0.7, 0.9, 0.3, 0.5, 0.7, 0.9])
    waiting = [job.stderr.readline() if job.stderr else "" for job in others]
    assert all("waits for a GPU: all 4" in line for line in waiting), "no card is free, so all eight wait"
    for job in to_kill:
        job.send_signal(signal.SIGKILL)
    finished = [job.communicate(timeout=25) for job in others]
    assert [job.returncode for job in others] == [0] * 8, finished
    assert {output.split()[0] for output, _ in finished} == held, "no card is lost: those of the killed are used again"
    [last] = start_jobs(tmp_path, environment, [0.0])
    assert last.communicate(timeout=10)[0].split() == [min(held)], "the first card is free again"
    for job in to_kill:
        job.communicate()


def test_what_a_job_starts_shares_its_card(tmp_path: Path) -> None:
    environment = fake_machine(tmp_path, cards=1)
    program = (
        "import subprocess, sys; from evidence_hpo.leases import take_card\n"
        "if take_card(): subprocess.run([sys.executable, *sys.argv[1:]], check=True)\n"
    )
    child = (
        "import os; from evidence_hpo.leases import take_card; print(take_card(), os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    command = [sys.executable, "-c", program, "-c", child]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=20).stdout
    assert printed.split() == ["None", "GPU-00000000-0000"]


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0"},
        {LEASES_VARIABLE: "off"},
        {"CUDA_VISIBLE_DEVICES": ""},
        {"PATH": "/nonexistent"},
    ],
    ids=["assigned by SLURM", "switched off", "no card visible", "no nvidia-smi"],
)
def test_nothing_is_leased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**fake_machine(tmp_path, cards=2), **variables}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert take_card() is None
    assert dict(os.environ) == before
    assert not (tmp_path / "leases").exists()


def test_the_cards_of_one_slurm_job_are_shared_out(tmp_path: Path) -> None:
    """A study run as a whole within an allocation: SLURM gave the cards to it, and not one to each of its jobs."""
    allocated = {"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0,1,2"}
    jobs = start_jobs(tmp_path, {**fake_machine(tmp_path, cards=4), **allocated}, [1.0] * 3)
    assert {first_line(job) for job in jobs} == {f"GPU-{number:08d}-0000" for number in range(3)}
    finished = [job.communicate(timeout=25) for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 3, finished


def test_a_folder_that_cannot_be_used_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fake_machine(tmp_path, cards=1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "leases").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match=f"leases: no folder for leases .* name one by {LEASES_VARIABLE}, or off"):
        take_card()
