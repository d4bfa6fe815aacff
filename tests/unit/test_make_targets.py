"""Make targets: the guides' names are there, each says what it is for, and each calls what it says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from evidence_hpo.cli.workflow import workflow_folder

GUIDES = {
    "first": ["hpo-best", "retrain-best"],
    "second": ["doctor", "lint", "format", "test", "stage1", "stage2", "hpo-report"],
    "third": ["train", "hpo", "resume", "evaluate", "clean-artifacts", "list-studies", "help"],
    "fifth": [
        *("hpo-s0", "hpo-s1", "hpo-s2", "refit", "full-hpo", "full-hpo-all", "maximal-hpo-all", "groundtruth"),
        *(f"tune-{name}-max" for name in ("criteria", "evidence", "share", "joint")),
    ],
}
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def made(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Say what make would do, as if the virtual environment were there."""
    venv = tmp_path / "venv"
    venv.mkdir(exist_ok=True)
    (venv / ".installed").touch()
    command = ["make", "--dry-run", f"VENV={venv}", *arguments]
    return subprocess.run(command, cwd=workflow_folder(), capture_output=True, text=True, check=False)


def test_help_lists_every_target_of_the_guides() -> None:
    shown = subprocess.run(["make", "help"], cwd=workflow_folder(), capture_output=True, text=True, check=True).stdout
    listed = {name for line in shown.splitlines() for name in line.removeprefix("  make ").split("  ")[0].split()}
    assert {name for names in GUIDES.values() for name in names} <= listed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "ARGS=--max-epochs 5"], "evidence-hpo train --max-epochs 5"),
        (["resume", "CHECKPOINT_PATH=x"], "evidence-hpo train --resume-from x"),
        (["hpo", "CORES=2"], "evidence-hpo tune --preset single --num-trials 100 --cores 2"),
        (["evaluate", "STUDY_DIR=s"], "evidence-hpo evaluate-study --study-dir s"),
        (["clean-artifacts"], "evidence-hpo cleanup --study-dir . --orphaned-only --dry-run"),
        (["list-studies", "EXPERIMENTS_DIR=e"], "evidence-hpo list-studies --experiments-dir e --format table"),
        (["list-checkpoints"], "evidence-hpo list-checkpoints --study-dir ."),
        (["doctor", "CONFIG=a b"], "evidence-hpo doctor --configfile a --configfile b"),
        (["stage1", "TRIALS_1=8"], "--override search.stages.stage1.trials=8"),
        (["groundtruth", "CSV=out.csv"], "evidence-hpo export-groundtruth --output out.csv"),
        (["tune-share-max", "N_TRIALS=5"], "--override search.stages.maximal.trials=5"),
    ],
)
def test_a_target_is_a_thin_call(tmp_path: Path, arguments: list[str], expected: str) -> None:
    shown = made(tmp_path, *arguments)
    assert shown.returncode == 0, shown.stderr
    assert expected in " ".join(shown.stdout.split())


def test_going_on_needs_a_checkpoint(tmp_path: Path) -> None:
    refused = made(tmp_path, "resume")
    assert refused.returncode == 2
    assert "CHECKPOINT_PATH: name the checkpoint" in refused.stderr
