"""A full disk is one clear line, and the temporary files of dead writers go."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

from evidence_hpo import storage
from evidence_hpo.errors import DataError, StorageError
from evidence_hpo.files import atomic_directory, atomic_path, write_json
from evidence_hpo.storage import as_storage_error, storage_errors

TARGET = Path("results/model.safetensors")


def chained(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "x"), ["model.safetensors", "No space left on device", "GB are free", "free space"]),
        (OSError(errno.EDQUOT, "x"), ["Disk quota exceeded", "ask for more quota"]),
        (OSError(errno.EROFS, "x"), ["Read-only file system", "make it writable"]),
        (OSError(errno.ENOSPC, "x", "results/.model.safetensors.0-1.a.tmp"), ["results/model.safetensors:"]),
        (SafetensorError("Error while serializing: I/O error: No space left (os error 28)"), ["No space left"]),
        (Exception("Disk quota exceeded (os error 122)"), ["Disk quota exceeded"]),
        (chained(DataError("download failed"), OSError(errno.ENOSPC, "x")), ["No space left"]),
    ],
)
def test_whatever_a_library_raises_on_a_full_disk_is_one_line(error: Exception, words: list[str]) -> None:
    found = as_storage_error(error, TARGET)
    assert found is not None
    assert found.exit_code == 4
    assert [word for word in words if word not in str(found)] == []
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("names", "begin"),
    [
        (("/data/a",), "/data/a: "),
        (("/data/a", None, "/data/b"), "/data/b: "),
        ((), "a file cannot be written: No space"),
    ],
)
def test_without_a_target_the_file_of_the_error_is_named(names: tuple[str | None, ...], begin: str) -> None:
    assert str(as_storage_error(OSError(errno.ENOSPC, "x", *names))).startswith(begin)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "x"), OSError("no number"), ValueError("(os error 2)")])
def test_other_errors_are_not_taken_for_a_full_disk(error: Exception) -> None:
    assert as_storage_error(error, TARGET) is None
    with pytest.raises(type(error)), storage_errors(TARGET):
        raise error


def test_the_innermost_file_is_named() -> None:
    with pytest.raises(StorageError, match="inner"), storage_errors(Path("outer")), storage_errors(Path("inner")):
        raise OSError(errno.ENOSPC, "x")


# --- temporary files ---------------------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from evidence_hpo.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path: Path) -> subprocess.Popen[str]:
    """Return a process in the middle of writing ``a.json``."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def temporaries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".tmp"))


def test_the_file_of_a_living_writer_stays_and_that_of_a_killed_one_goes(
    tmp_path: Path, writer: subprocess.Popen[str]
) -> None:
    assert writer.stdout is not None
    name = writer.stdout.readline().strip()
    write_json(tmp_path / "a.json", {})
    assert temporaries(tmp_path) == [name]
    writer.kill()
    writer.wait()
    write_json(tmp_path / "b.json", {})
    assert temporaries(tmp_path) == [name], "only the target that is written is looked at"
    write_json(tmp_path / "a.json", {})
    assert temporaries(tmp_path) == []


def test_of_another_machine_only_what_is_a_week_old_goes(tmp_path: Path) -> None:
    dead = 4_000_000_000  # more than any process id
    foreign, old = (tmp_path / f".a.json.{'0' * 12}-{dead}.{letter}.tmp" for letter in "xy")
    for path in (foreign, old):
        path.write_text("half")
    eight_days_ago = time.time() - 8 * 24 * 3600
    os.utime(old, (eight_days_ago, eight_days_ago))
    write_json(tmp_path / "a.json", {})
    assert temporaries(tmp_path) == [foreign.name]


def test_abandoned_directories_go_as_well(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".model.{storage._process_space()}-{dead.pid}.abc.tmp"
    left.mkdir()
    (left / "model.safetensors").write_text("half")
    with atomic_directory(tmp_path / "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_names_that_only_look_alike_stay(tmp_path: Path) -> None:
    others = [".a.json.tmp", "a.json.tmp", ".b.a.json.x.tmp", ".a.json.x.part"]
    for name in others:
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    with atomic_path(tmp_path / "a.json") as temporary:
        assert temporary.name.startswith(f".a.json.{storage._process_space()}-{os.getpid()}.")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "a.json"}
