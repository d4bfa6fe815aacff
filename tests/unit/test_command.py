"""The `evidence-hpo` command: help that teaches, one line for a mistake, a claim that ends with its process."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from evidence_hpo.cli.locks import claim_folder
from evidence_hpo.cli.main import app
from evidence_hpo.errors import StorageError

NAMES = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "evidence_hpo.cli.main", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_an_example(name: str, tmp_path: Path) -> None:
    shown = command(name, "--help", folder=tmp_path)
    assert shown.returncode == 0
    assert f"Example: evidence-hpo {name}" in " ".join(shown.stdout.split())


def test_check_accepts_the_default_study(tmp_path: Path) -> None:
    checked = command("check", folder=tmp_path)
    assert checked.returncode == 0
    assert "no problem found" in checked.stdout


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("retrain: {top_k: 0}\nserch: {}\n", encoding="utf-8")
    checked = command("check", "--configfile", "study.yaml", folder=tmp_path)
    assert checked.returncode == 2
    assert "did you mean 'search'" in checked.stderr
    assert "retrain.top_k: 0" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_missing_overlay_is_one_line(tmp_path: Path) -> None:
    checked = command("check", "--configfile", "nowhere.yaml", folder=tmp_path)
    assert checked.returncode == 2
    assert checked.stderr == "nowhere.yaml: no such file\n"


def test_claim_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from evidence_hpo.cli.locks import claim_folder;"
        f"claim_folder(Path({str(tmp_path)!r})); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match="another run holds this folder"):
            claim_folder(tmp_path)
        holder.kill()
    with (tmp_path / "results/work/run.lock").open() as claim:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
