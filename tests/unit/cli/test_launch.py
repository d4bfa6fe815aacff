"""A run from its start to its exit code: the deadline, signals, and what the failed jobs stand for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from evidence_hpo.cli import launch as module
from evidence_hpo.cli.launch import Ended, Launch, exit_code_of, launch, run_command
from evidence_hpo.cli.progress import ProgressView, StudyProgress
from evidence_hpo.cli.studies import recorded_configuration
from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import load_configuration
from evidence_hpo.errors import DataError, StorageError
from evidence_hpo.search.interruption import DEADLINE_VARIABLE
from evidence_hpo.study_log import append_event, read_events


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_jobs_get_the_deadline_and_the_exit_code_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = f"import os, pathlib, sys; pathlib.Path('d').write_text(os.environ['{DEADLINE_VARIABLE}']); sys.exit(3)"
    before = time.time()
    assert run_command(python(script), tmp_path, 1000.0) == Ended(3, interrupted=False)
    assert before + 1000 <= float((tmp_path / "d").read_text()) <= time.time() + 1000
    assert "used up" not in capsys.readouterr().err
    assert run_command(python("import time, sys; time.sleep(0.2); sys.exit(1)"), tmp_path, 0.1) == Ended(1, True)
    assert "the same command goes on" in capsys.readouterr().err


def test_jobs_use_this_package_wherever_they_are_started(tmp_path: Path) -> None:
    ended = run_command(
        python("import evidence_hpo, pathlib; pathlib.Path('p').write_text(evidence_hpo.__file__)"), tmp_path
    )
    assert ended == Ended(0, False)
    assert (tmp_path / "p").read_text() == str(Path(module.__file__).parents[1] / "__init__.py")


def test_sigterm_reaches_the_command_and_counts_as_an_interruption(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); open('r', 'w').close(); time.sleep(60)"
    )

    def stop() -> None:
        while not (tmp_path / "r").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=stop).start()
    assert run_command(python(script), tmp_path) == Ended(7, interrupted=True)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_command_that_a_signal_ends_has_exit_code_1(tmp_path: Path) -> None:
    assert run_command(python("import os; os.kill(os.getpid(), 9)"), tmp_path) == Ended(1, interrupted=False)


@pytest.mark.parametrize(
    ("code", "errors", "expected"),
    [
        (0, ["StorageError"], 0),  # a job that went well when it was tried again
        (1, [], 1),
        (2, [], 2),
        (1, [None], 1),
        (1, ["TrainingError"], 1),
        (1, ["TrainingError", "DataError"], 3),
        (1, ["DataError", "StorageError", "ConfigurationError"], 4),
        (1, ["ConfigurationError"], 2),
        (1, ["TrackingError"], 5),
    ],
)
def test_the_gravest_error_of_a_failed_job_decides(code: int, errors: list[str | None], expected: int) -> None:
    events: list[dict[str, Any]] = [{"event": "progress", "done": 1, "total": 2}]
    assert exit_code_of(code, [*events, *({"event": "job_failed", "error": error} for error in errors)]) == expected


@pytest.fixture
def snakemake(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let a script take Snakemake's place: it fails a job, as the plugin would log it, and writes its arguments."""
    started: list[list[str]] = []
    script = (
        "import pathlib, sys; from evidence_hpo.study_log import append_event;"
        "append_event(pathlib.Path('results/logs/study.jsonl'), 'job_failed', job=1, rule='run_trials',"
        "error='StorageError', log='x'); print('warning: nearly full'); print('other');"
        "pathlib.Path('arguments').write_text(' '.join(sys.argv[1:])); sys.exit(1)"
    )

    def replaced() -> list[str]:
        started.append([])
        return python(script)

    monkeypatch.setattr(module, "snakemake_command", replaced)
    return started


def test_a_launch_records_what_it_runs_and_how_it_ended(tmp_path: Path, snakemake: list[list[str]]) -> None:
    assert launch(Launch(tmp_path, default_configuration(), ["x"], [])) == StorageError.exit_code
    assert (tmp_path / "arguments").read_text().split()[:2] == ["results/configuration.yaml", "x"]
    first, failed, last = read_events(tmp_path / "results/logs/study.jsonl")[0]
    assert (first["event"], first["study"], first["targets"]) == ("run_started", "sample", ["x"])
    assert failed["event"] == "job_failed"
    assert (last["event"], last["exit_code"], last["interrupted"]) == ("run_finished", 4, False)
    assert len(snakemake) == 1


def test_a_run_outside_the_study_leaves_its_configuration_alone(tmp_path: Path, snakemake: list[list[str]]) -> None:
    launch(Launch(tmp_path, default_configuration(), ["x"], [], is_study=False))
    assert (tmp_path / "arguments").read_text().split()[0] == "x"
    assert snakemake


@pytest.mark.parametrize("cores", [None, "2"])
def test_cores_are_the_profiles_unless_they_are_given(
    tmp_path: Path, snakemake: list[list[str]], cores: str | None
) -> None:
    launch(Launch(tmp_path, default_configuration(), ["x"], [], cores))
    arguments = (tmp_path / "arguments").read_text()
    assert ("--cores 2" in arguments) is (cores is not None)
    assert ("--cores" in arguments) is (cores is not None)
    assert snakemake


def test_a_dry_run_records_nothing(tmp_path: Path, snakemake: list[list[str]]) -> None:
    assert launch(Launch(tmp_path, default_configuration(), ["--dry-run"], [])) == 1
    assert [event["event"] for event in read_events(tmp_path / "results/logs/study.jsonl")[0]] == ["job_failed"]
    assert "results/configuration.yaml" not in (tmp_path / "arguments").read_text()
    assert snakemake


def test_a_recorded_configuration_gives_the_same_settings_however_overlays_were_ordered(tmp_path: Path) -> None:
    raw = yaml.safe_load((Path(module.__file__).parents[3] / "workflow_config.yaml").read_text(encoding="utf-8"))
    space = raw["spaces"]["sample"]
    turned = {**raw, "spaces": {"sample": dict(reversed(space.items()))}}
    one, other = load_configuration(raw), load_configuration(turned)
    assert one.model_dump_json() == other.model_dump_json()
    path = tmp_path / "results/configuration.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(one.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    assert recorded_configuration(tmp_path).model_dump_json() == one.model_dump_json()


def test_without_a_recorded_configuration_the_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name the study's --configfile"):
        recorded_configuration(tmp_path)


def test_the_display_shows_warnings_and_the_last_lines_of_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], snakemake: list[list[str]]
) -> None:
    from rich.console import Console

    log = tmp_path / "results/logs/study.jsonl"
    console = Console(force_terminal=True, width=120)
    view = ProgressView(StudyProgress(default_configuration(), tmp_path), log, 0, console)
    append_event(log, "progress", done=1, total=9)
    assert run_command(module.snakemake_command(), tmp_path, view=view).code == 1
    shown = capsys.readouterr()
    assert "warning: nearly full" in shown.out
    assert "other" not in shown.out
    assert "jobs 1/9" in shown.out
    assert shown.err.splitlines() == ["warning: nearly full", "other"]


def test_a_live_run_is_refused(tmp_path: Path) -> None:
    program = (
        "import time; from pathlib import Path; from evidence_hpo.cli.locks import claim_folder;"
        "claim_folder(Path.cwd()); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(python(program), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match="another run holds this folder"):
            launch(Launch(tmp_path, default_configuration(), [], []))
        holder.kill()
