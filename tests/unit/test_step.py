"""A step as a command: exit codes, one line for a failure, a log that is closed."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from evidence_hpo import logs
from evidence_hpo.errors import DataError, StorageError
from evidence_hpo.files import write_json
from evidence_hpo.logs import log_event
from evidence_hpo.step import run_step

FULL = Path("/dev/full")


def events(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text(encoding="utf-8").splitlines()]


def test_a_finished_step_closes_its_log(tmp_path: Path) -> None:
    def good(*, output: Path) -> None:
        log_event("working", "at work")
        write_json(output, {})

    log = tmp_path / "logs" / "good.log"
    run_step(good, ["--output", str(tmp_path / "a.json"), "--log", str(log)])
    assert events(log) == ["working", "finished"]
    assert str(log) not in {file.path for file in psutil.Process().open_files()}
    log_event("later", "of no step")
    assert events(log) == ["working", "finished"]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("posts.csv: no such file"), 3, "error: posts.csv: no such file"),
        (StorageError("a.json: cannot be written"), 4, "error: a.json: cannot be written"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/a.bin"),
            4,
            "/data/a.bin: cannot be written: No space",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 4, "remove files or ask for more quota, and run again"),
        (Exception("No space left on device (os error 28)"), 4, "cannot be written: No space left on device"),
    ],
)
def test_an_expected_error_is_one_line_and_its_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], error: Exception, code: int, line: str
) -> None:
    def bad() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_step(bad, ["--log", str(tmp_path / "bad.log")])
    assert caught.value.code == code
    shown = capfd.readouterr().err
    assert line in shown
    assert shown.count("\n") == 1
    assert events(tmp_path / "bad.log") == ["failed"]


def test_an_error_of_the_program_is_not_hidden(tmp_path: Path) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_step(broken, ["--log", str(tmp_path / "broken.log")])
    assert logs._log is None


PROGRAM = """
from evidence_hpo.logs import log_event
from evidence_hpo.step import run_step

def speak() -> None:
    log_event("one", "first line")
    log_event("two", "second line")

run_step(speak)
"""


def speak(log: Path, stderr: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, "--log", str(log)]
    if stderr is None:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    with stderr.open("w") as place:
        return subprocess.run(command, stderr=place, text=True, check=False)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_log_on_a_full_disk_ends_the_step_with_one_line(tmp_path: Path) -> None:
    log = tmp_path / "full.log"
    log.symlink_to(FULL)
    done = speak(log)
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "first line"
    assert done.stderr.splitlines()[1].startswith(f"error: {log}: cannot be written: No space left on device")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_standard_error_on_a_full_disk_breaks_nothing(tmp_path: Path) -> None:
    log = tmp_path / "good.log"
    assert speak(log, FULL).returncode == 0
    assert events(log) == ["one", "two", "finished"]


def test_a_line_that_does_not_fit_is_not_in_the_log_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "a.log"
    with logs.open_log(log):
        log_event("one", "first line")
        assert logs._log is not None
        raw = logs._log._file

        class Nearly:
            """Takes ten bytes more, then is full."""

            room = 10

            def tell(self) -> int:
                return raw.tell()

            def truncate(self, size: int) -> int:
                return raw.truncate(size)

            def write(self, data: memoryview) -> int:
                if self.room == 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                written = raw.write(data[: self.room])
                self.room -= written
                return written

            def close(self) -> None:
                raw.close()

        monkeypatch.setattr(logs._log, "_file", Nearly())
        with pytest.raises(StorageError, match=r"a\.log: cannot be written"):
            log_event("two", "second line")
        log_event("three", "for people only")
    assert events(log) == ["one"]


def test_a_twin_that_empties_the_log_leaves_no_hole_in_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with logs.open_log(log):
        log_event("one", "of the job that runs on")
        twin = logs._Log(log)
        log_event("two", "of the job that runs on")
        twin.write('{"event": "three"}\n')
        log_event("four", "of the job that runs on")
        twin.close()
    assert b"\0" not in log.read_bytes()
    assert events(log) == ["two", "three", "four"]
