"""Bad data: each fault is one line of file, count, ids and remedy; exit code 3, no output, no text of a post."""

from __future__ import annotations

import codecs
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Folder = Any
Fails = Callable[..., list[str]]


def set_cell(table: str, row: int, column: int, value: str) -> Callable[[Folder], None]:
    def spoil(folder: Folder) -> None:
        getattr(folder, table)[row][column] = value

    return spoil


def add_row(table: str, *values: str) -> Callable[[Folder], None]:
    return lambda folder: getattr(folder, table).append(list(values))


def set_value(name: str, value: Any) -> Callable[[Folder], None]:
    return lambda folder: setattr(folder, name, value)


def every(column: int, value: str) -> Callable[[Folder], None]:
    def spoil(folder: Folder) -> None:
        for row in folder.annotations:
            row[column] = value

    return spoil


SENTENCE = "I cannot sleep since day 0."
# name, how the good corpus is spoilt, what the one line says
VALUES: list[tuple[str, Callable[[Folder], None], str]] = [
    ("duplicate post", add_row("posts", "p3", "x"), "posts.csv: 2 rows: duplicate post id: p3"),
    ("empty text", set_cell("posts", 2, 1, ""), "posts.csv: 1 row: empty or missing text: p2"),
    ("blank text", set_cell("posts", 2, 1, " \t "), "posts.csv: 1 row: empty or missing text: p2"),
    ("missing post id", set_cell("posts", 8, 0, ""), "posts.csv: 1 row: missing post_id: row 9"),
    ("spaced post id", set_cell("posts", 8, 0, "p8 "), "1 row: post_id with spaces around it: row 9; remove them"),
    ("control in id", set_cell("posts", 8, 0, "p\n8"), "1 row: post_id with control characters: row 9"),
    ("no posts", set_value("posts", []), "posts.csv: holds no posts"),
    ("no annotations", set_value("annotations", []), "annotations.csv: holds no annotation of a criterion"),
    ("unknown post", set_cell("annotations", 0, 0, "q7"), "1 row: post id not in"),
    ("annotation without post", set_cell("annotations", 0, 0, ""), "1 row: missing post_id: row 1"),
    ("annotation without id", set_cell("annotations", 3, 1, ""), "1 row: missing sentence_id: row 4"),
    ("missing sentence", set_cell("annotations", 3, 2, ""), "1 row: empty or missing sentence_text: p1_2"),
    ("missing label", set_cell("annotations", 3, 3, ""), "1 row: missing criterion: p1_2"),
    (
        "misspelt label",
        every(3, "SLEPE"),
        "16 rows: label that is no criterion: 'SLEPE' (16; did you mean 'SLEEP'?); data.corpus.label_aliases",
    ),
    ("foreign label", set_cell("annotations", 1, 3, "QZQZ"), "1 row: label that is no criterion: QZQZ (1)"),
    ("text as label", set_cell("annotations", 1, 3, SENTENCE), "label that is no criterion: row 2 (1)"),
    ("status 2", set_cell("annotations", 4, 4, "2"), "1 row: invalid status: p2_1; must be 1 (evidence) or 0"),
    ("status of words", set_cell("annotations", 4, 4, "yes"), "1 row: invalid status: p2_1"),
    ("status missing", set_cell("annotations", 4, 4, ""), "1 row: invalid status: p2_1"),
    ("status 0.5", set_cell("annotations", 4, 4, "0.5"), "1 row: invalid status: p2_1"),
    (
        "duplicate annotation",
        add_row("annotations", "p0", "p0_1", SENTENCE, "SLEEP", "1", ""),
        "2 rows: duplicate annotation (sentence_id, criterion): p0_1 SLEEP; keep one of the rows",
    ),
    (
        "duplicate by alias",
        lambda folder: (
            add_row("annotations", "p0", "p0_1", SENTENCE, "LEEP", "1", "")(folder),
            folder.settings.update(label_aliases={"LEEP": "SLEEP"}),
        )[0],
        "2 rows: duplicate annotation (sentence_id, criterion): p0_1 SLEEP",
    ),
    (
        "contradiction",
        add_row("annotations", "p0", "p0_1", SENTENCE, "SLEEP", "0", ""),
        "2 rows: one sentence has both status 0 and 1 for one criterion: p0_1 SLEEP",
    ),
    (
        "sentence in two posts",
        add_row("annotations", "p1", "p0_1", SENTENCE, "MOOD", "1", ""),
        "2 rows: sentence id used in more than one post: p0_1",
    ),
    (
        "more than ten",
        every(4, "?"),
        "16 rows: invalid status: p0_1, p0_2, p1_1, p1_2, p2_1, p2_2, p3_1, p3_2, p4_1, p4_2 and 6 more",
    ),
    (
        "ignored criterion",
        lambda folder: folder.settings.update(ignored_labels=["MOOD"]),
        "data.corpus.ignored_labels: is also a criterion: MOOD",
    ),
    (
        "alias of a criterion",
        lambda folder: folder.settings.update(label_aliases={"MOOD": "SLEEP"}),
        "data.corpus.label_aliases: is also a criterion: MOOD; remove it from one of the two",
    ),
    ("criteria no list", set_value("criteria", {"MOOD": "x"}), "criteria.json: must be a JSON list of"),
    ("criteria empty", set_value("criteria", []), "criteria.json: must be a JSON list of"),
    ("criterion no mapping", set_value("criteria", ["MOOD"]), "criterion 1 is not a mapping"),
    ("criterion without text", set_value("criteria", [{"id": "A"}]), "criterion 1: text is missing"),
    ("criterion with empty text", set_value("criteria", [{"id": "A", "text": " "}]), "criterion 1: text is empty"),
    ("criterion number", set_value("criteria", [{"id": 7, "text": "x"}]), "criterion 1: id is not a string"),
    ("criterion with bar", set_value("criteria", [{"id": "A|B", "text": "x"}]), "criterion 1: id must be at most 64"),
    (
        "criterion with unknown key",
        set_value("criteria", [{"id": "A", "txt": "x", "text": "y"}]),
        "criterion 1 has the unknown key 'txt'; did you mean 'text'?",
    ),
    (
        "criterion twice",
        set_value("criteria", [{"id": "A", "text": "x"}, {"id": "A", "text": "y"}]),
        "id given to more than one criterion: A",
    ),
    (
        "criterion text twice",
        set_value("criteria", [{"id": "A", "text": "x"}, {"id": "B", "text": "x"}]),
        "text given to more than one criterion: A, B",
    ),
    ("half a character", set_value("criteria", [{"id": "A", "text": "\ud83d"}]), "holds half a character"),
]


@pytest.mark.parametrize(("spoil", "expected"), [case[1:] for case in VALUES], ids=[case[0] for case in VALUES])
def test_a_wrong_value_is_told_in_one_line(
    folder: Folder, fails: Fails, spoil: Callable[[Folder], None], expected: str
) -> None:
    spoil(folder)
    folder.write()
    lines = fails(folder, "prepare")
    assert [line for line in lines if expected in line], lines
    assert not [line for line in lines if "sleep since" in line or "grey" in line.lower()], "a text is shown"


RENAMED = "posts.csv: no column 'text' (data.corpus.columns.text); did you mean 'texts'?"
# name, file, its bytes made from the good ones (None: no file), what the one line says
FILES: list[tuple[str, str, Callable[[bytes], bytes] | None, str]] = [
    ("no posts file", "posts.csv", None, "posts.csv: no such file"),
    ("no criteria file", "criteria.json", None, "criteria.json: no such file"),
    ("criteria not JSON", "criteria.json", lambda _: b"[{", "criteria.json: not valid JSON"),
    ("empty file", "posts.csv", lambda _: b"", "posts.csv: is empty"),
    ("UTF-16", "posts.csv", lambda c: c.decode().encode("utf-16"), "posts.csv: is UTF-16 (byte order mark"),
    ("Latin-1", "posts.csv", lambda c: c.replace(b"Marker1", b"M\xe4rker"), "posts.csv: not UTF-8 (byte"),
    ("NUL", "annotations.csv", lambda c: c.replace(b"p2_1", b"p2\x001"), "annotations.csv: NUL byte in line 6"),
    ("renamed column", "posts.csv", lambda c: c.replace(b",text", b",texts", 1), RENAMED),
    ("no header", "posts.csv", lambda c: c.split(b"\n", 1)[1], "no column 'post_id'"),
    ("semicolons", "posts.csv", lambda c: c.replace(b",", b";"), "it seems to be separated by semicolons"),
    ("open quote", "posts.csv", lambda c: c + b'p9,"open', "posts.csv: not valid CSV (EOF inside string"),
    ("too many fields", "posts.csv", lambda c: c + b"p9,a,b,c\n", "not valid CSV (Expected 2 fields in line 11"),
    ("too few fields", "posts.csv", lambda c: c + b"p9\n", "1 row: empty or missing text: p9"),
    ("column twice", "posts.csv", lambda c: c.replace(b"post_id,text", b"text,text", 1), "column name given twice"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "expected"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_broken_file_is_told_in_one_line(
    folder: Folder, fails: Fails, name: str, change: Callable[[bytes], bytes] | None, expected: str
) -> None:
    folder.write()
    path: Path = folder.path / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    lines = fails(folder, "prepare")
    assert [line for line in lines if expected in line], lines
    assert not [line for line in lines if "sleep since" in line or "grey" in line.lower()], "a text is shown"


def test_rows_all_longer_than_the_header_are_not_shifted_silently(folder: Folder, fails: Fails) -> None:
    folder.write()
    (folder.path / "posts.csv").write_text("post_id,text\np0,a,b\np1,c,d\n", encoding="utf-8")
    assert "its rows have more fields than its header" in fails(folder, "prepare")[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("posts.xlsx", "the name must end in .csv or .parquet"), ("sub", "is a folder; name the file")],
)
def test_other_formats_are_refused(folder: Folder, fails: Fails, name: str, expected: str) -> None:
    folder.write()
    (folder.path / "sub").mkdir()
    folder.settings["files"] = {"posts": str(folder.path / name), "annotations": str(folder.path / "annotations.csv")}
    assert expected in fails(folder, "prepare")[0]


def test_a_broken_parquet_and_a_column_of_lists_are_refused(folder: Folder, fails: Fails) -> None:
    folder.write()
    broken, lists = folder.path / "broken.parquet", folder.path / "lists.parquet"
    broken.write_bytes(b"PAR1 nothing")
    pd.DataFrame({"post_id": ["p0"], "text": [["a"]]}).to_parquet(lists)
    for path, expected in ((broken, "not a readable Parquet file"), (lists, "column 'text' holds list<")):
        folder.settings["files"] = {"posts": str(path), "annotations": str(folder.path / "annotations.csv")}
        assert expected in fails(folder, "prepare")[0]


def test_every_problem_of_both_files_is_in_one_report(folder: Folder, fails: Fails) -> None:
    folder.posts.append(["p0", "again"])
    folder.annotations[0][4] = "7"
    folder.annotations[1][3] = "MOOOD"
    folder.annotations[2][0] = "nobody"
    folder.write()
    lines = fails(folder, "prepare")
    assert [("duplicate post id" in line, "posts.csv" in line) for line in lines].count((True, True)) == 1
    assert len(lines) == 4


def test_two_unreadable_files_are_in_one_report(folder: Folder, fails: Fails) -> None:
    folder.write()
    (folder.path / "posts.csv").unlink()
    (folder.path / "annotations.csv").write_bytes(b"a\0b")
    assert len(fails(folder, "prepare")) == 2


def test_a_utf8_byte_order_mark_is_no_fault(folder: Folder) -> None:
    folder.write()
    path = folder.path / "posts.csv"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    folder.run("prepare")
    assert (folder.out / "posts.parquet").is_file()


# content of the official split, what the line says
SPLITS = [
    ("unknown post", {"zz": "train"}, "post id not in the corpus: zz"),
    ("unknown split", {"p1": "tset"}, "1 row: unknown split tset; did you mean 'test'?: p1"),
    ("no split", {"p1": ""}, "1 row: no split"),
    ("text as split", {"p1": "a text of a post"}, "unknown split row 2"),
    ("empty split", {f"p{n}": "train" for n in range(9)}, "no post for validation and test"),
]


@pytest.mark.parametrize(("changes", "expected"), [case[1:] for case in SPLITS], ids=[case[0] for case in SPLITS])
def test_a_wrong_official_split_is_told(prepared: Folder, fails: Fails, changes: dict[str, str], expected: str) -> None:
    names = {f"p{n}": ("train", "dev", "test")[n % 3] for n in range(9)} | changes
    write_split(prepared, names)
    lines = fails(prepared, "split")
    assert [line for line in lines if expected in line], lines


def test_an_official_split_that_forgets_or_repeats_posts_is_told(prepared: Folder, fails: Fails) -> None:
    names = {f"p{n}": ("train", "dev", "test")[n % 3] for n in range(7)}
    write_split(prepared, names, "p0,train\n")
    lines = fails(prepared, "split")
    assert "2 rows: duplicate post id: p0" in lines[0]
    assert "2 posts of the corpus have no split: p7, p8" in lines[1]


def test_an_official_split_that_separates_one_text_is_told(folder: Folder, fails: Fails) -> None:
    folder.posts[1][1] = folder.posts[0][1].upper().replace(" ", "  ")
    folder.write()
    folder.run("prepare")
    write_split(folder, {f"p{n}": ("train", "dev", "test")[n % 3] for n in range(9)})
    assert (
        "posts with the same text are in different splits: p0, p1; put them in one split" in fails(folder, "split")[0]
    )


def test_an_official_split_without_its_columns_is_told(prepared: Folder, fails: Fails) -> None:
    path = prepared.path / "split.csv"
    path.write_text("post_id,splits\np0,train\n", encoding="utf-8")
    prepared.split = {"file": str(path)}
    assert fails(prepared, "split")[0].endswith("split.csv: no column 'split'; did you mean 'splits'?")


def write_split(folder: Folder, names: dict[str, str], more: str = "") -> None:
    path = folder.path / "split.csv"
    path.write_text("post_id,split\n" + "".join(f"{k},{v}\n" for k, v in names.items()) + more, encoding="utf-8")
    folder.split = {"file": str(path)}


def test_too_few_posts_for_three_splits_is_told(folder: Folder, fails: Fails) -> None:
    folder.posts, folder.annotations = folder.posts[:2], folder.annotations[:4]
    folder.write()
    folder.run("prepare")
    (line,) = fails(folder, "split")
    assert line.startswith("data.split: 2 different posts leave no post for ")
    assert "give more posts or raise data.split." in line


def test_posts_with_one_text_cannot_fill_three_splits(folder: Folder, fails: Fails) -> None:
    for row in folder.posts:
        row[1] = "The same text."
    folder.write()
    folder.run("prepare")
    assert "1 different posts leave no post for" in fails(folder, "split")[0]


@pytest.mark.parametrize(
    ("task", "column", "value"), [("criteria", 4, "0"), ("evidence", 2, "Quartz jukebox vow."), ("evidence", 4, "0")]
)
def test_examples_without_a_positive_are_refused(
    folder: Folder, fails: Fails, task: str, column: int, value: str
) -> None:
    every(column, value)(folder)
    folder.write()
    folder.run("prepare")
    folder.run("split")
    (line,) = fails(folder, "example", task, "train")
    assert line.startswith(f"{task} task: ")
    assert "none positive" in line
    assert "; give more posts" in line


def test_a_table_of_another_version_is_refused(prepared: Folder, fails: Fails) -> None:
    pd.DataFrame({"post_id": ["p0"]}).to_parquet(prepared.out / "posts.parquet")
    assert "its columns are not those of this version" in fails(prepared, "split")[0]


def test_the_commands_fail_with_code_3_and_no_traceback(folder: Folder) -> None:
    folder.posts[2][1] = ""
    folder.write()
    for step, arguments in (("prepare_corpus", folder.prepare_arguments()), ("split_corpus", folder.split_arguments())):
        command = [sys.executable, "-m", f"evidence_hpo.steps.{step}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert len(done.stderr.strip().split("\n")) == 1
        assert "Traceback" not in done.stderr
        assert not folder.out.exists()
    events = [json.loads(line) for line in (folder.path / "step.log").read_text(encoding="utf-8").splitlines()]
    assert events[-1]["event"] == "failed"
