"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo import files
from evidence_hpo.errors import DataError, StorageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(rows=st.lists(JSON, max_size=5))
def test_json_lines_come_back_as_written(rows: list[object], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    files.write_json_lines(path, rows)
    assert files.read_json_lines(path) == json.loads(json.dumps(rows))


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})

    def write_half() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_half()
    assert files.read_json(path) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_full_disk_is_one_line_with_exit_code_four(tmp_path: Path) -> None:
    def fill() -> None:
        with files.atomic_path(tmp_path / "a.bin"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        StorageError, match=r"a\.bin: cannot be written: No space .*; free space and run again"
    ) as caught:
        fill()
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ("old", "new"):
        with files.atomic_directory(target) as temporary:
            (temporary / name).write_text(name)
    assert [entry.name for entry in target.iterdir()] == ["new"]


def test_twins_that_write_one_directory_leave_one_of_theirs_whole(tmp_path: Path) -> None:
    target, problems = tmp_path / "model", []

    def write(name: str) -> None:
        try:
            for _ in range(50):
                with files.atomic_directory(target) as temporary:
                    for file in ("weights", "settings"):
                        (temporary / file).write_text(name)
        except OSError as error:
            problems.append(error)

    twins = [threading.Thread(target=write, args=(name,)) for name in ("one", "other")]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join()
    assert problems == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    assert len({(target / file).read_text() for file in ("weights", "settings")}) == 1


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_damaged_json_is_a_data_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json: not valid JSON"):
        files.read_json(path)


def test_digest_of_a_directory_depends_on_names_and_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "a").write_text("1")
    assert files.digest_directory(first) == files.digest_directory(second)
    (second / "a").rename(second / "b")
    assert files.digest_directory(first) != files.digest_directory(second)
