"""The command `track`: what it refuses before MLflow is even imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.finished_study import command


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--uri", "http://me:hunter2@host"], 2, "--uri: holds credentials: a secret does not belong"),
        (["--uri", "mlruns"], 2, "--uri: must be http://host:port, https://host or sqlite:///path"),
        (["--override", "tracking.password=hunter2"], 2, "tracking.password: a secret does not belong"),
        ([], 3, "no study there; start one with `evidence-hpo run`"),
        (["--ui", "--uri", "http://host:5000"], 2, "the store is a server already; open http://host:5000"),
        (["--override", "tracking.token_file=/nowhere/token", "--ui"], 2, "/nowhere/token: no such file"),
    ],
)
def test_refusals_are_one_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    finished = command("track", *arguments, folder=tmp_path)
    assert (finished.returncode, len(finished.stderr.splitlines())) == (code, 1), finished.stderr
    assert said in finished.stderr
    assert "hunter2" not in finished.stderr + finished.stdout


def test_help_shows_an_example_and_mlflow_is_not_imported_for_it() -> None:
    program = "import sys; from evidence_hpo.cli import main; sys.argv = ['evidence-hpo', 'track', '--help']\n"
    program += "try: main.main()\nexcept SystemExit: pass\nassert 'mlflow' not in sys.modules"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Example: evidence-hpo track --follow" in finished.stdout
