"""The three data steps together, on real files: what they write, twice the same, and no test post in training."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from evidence_hpo.data.tables import ANNOTATIONS, EXAMPLES, POSTS

Folder = Any


def digests(folder: Folder) -> dict[str, str]:
    files = sorted(path for path in folder.out.rglob("*") if path.is_file())
    return {str(f.relative_to(folder.out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def run_all(folder: Folder) -> None:
    folder.run("prepare")
    folder.run("split")
    for task in ("criteria", "evidence"):
        for split in ("train", "validation", "test"):
            folder.run("example", task, split)


def test_every_output_has_its_schema_and_the_same_bytes_again(folder: Folder) -> None:
    folder.write()
    run_all(folder)
    first = digests(folder)
    run_all(folder)
    assert digests(folder) == first
    assert pq.read_schema(folder.out / "posts.parquet").equals(POSTS)
    assert pq.read_schema(folder.out / "splits/test/annotations.parquet").equals(ANNOTATIONS)
    assert pq.read_schema(folder.out / "examples/evidence/train.parquet").equals(EXAMPLES)


def test_the_order_of_the_input_rows_changes_nothing(folder: Folder) -> None:
    folder.write()
    run_all(folder)
    first = digests(folder)
    folder.posts.reverse()
    folder.annotations.reverse()
    folder.write()
    run_all(folder)
    assert digests(folder) == first


def test_splits_share_no_post_and_examples_stay_in_their_split(folder: Folder) -> None:
    folder.write()
    run_all(folder)
    frozen = json.loads((folder.out / "splits/splits.json").read_text(encoding="utf-8"))
    assert frozen["method"] == "stratified"
    assert sorted(i for ids in frozen["splits"].values() for i in ids) == [f"p{n}" for n in range(9)]
    for split, ids in frozen["splits"].items():
        assert pd.read_parquet(folder.out / f"splits/{split}/posts.parquet")["post_id"].tolist() == ids
        for task in ("criteria", "evidence"):
            frame = pd.read_parquet(folder.out / f"examples/{task}/{split}.parquet")
            assert set(frame["post_id"]) <= set(ids)
            assert frame["example_id"].is_unique


def test_spans_are_offsets_of_the_evidence_in_the_post(folder: Folder) -> None:
    folder.write()
    run_all(folder)
    frame = pd.read_parquet(folder.out / "examples/evidence/train.parquet")
    sleep = frame[(frame["criterion"] == "SLEEP") & (frame["label"] == 1)]
    assert len(sleep) > 0
    for row in sleep.itertuples():
        (span,) = row.spans
        assert row.text[span["start"] : span["end"]] == f"I cannot sleep since day {row.post_id[1:]}."


def test_the_report_counts_what_was_understood_left_out_and_lost(folder: Folder) -> None:
    folder.annotations[0][3] = "SLEPE"
    folder.annotations[2][3] = "OTHRE"
    folder.annotations[4][2] = "Quartz jukebox vow."
    folder.annotations[6][2] = "  "
    folder.posts[8][1] = "word " * 600
    folder.posts.append(["p9", " Word " * 600])
    folder.settings.update(
        label_aliases={"SLEPE": "SLEEP", "OTHRE": "OTHER", "UNUSED": "MOOD"}, ignored_labels=["OTHER", "SPECIAL_CASE"]
    )
    folder.write()
    folder.run("prepare")
    report = json.loads((folder.out / "report.json").read_text(encoding="utf-8"))
    assert report["labels"] == {"aliases": {"OTHRE": 1, "SLEPE": 1}, "ignored": {"OTHER": 1}}
    annotations = report["annotations"]
    assert annotations["count"] == 14
    assert annotations["unaligned"] == ["p2_1|SLEEP"]
    assert annotations["blank"] == ["p3_1"]
    assert annotations["by_alignment"] == {"exact": 5, "normalised": 8, "fuzzy": 0, "none": 1}
    assert annotations["by_criterion"] == {
        "MOOD": {"evidence": 4, "negative": 4},
        "SLEEP": {"evidence": 6, "negative": 0},
        "WEIGHT": {"evidence": 0, "negative": 0},
    }
    posts = report["posts"]
    assert (posts["count"], posts["without_annotation"], posts["longer_than_512_words"]) == (10, 2, 2)
    assert posts["with_repeated_text"] == 1
    written = (folder.out / "report.json").read_text(encoding="utf-8") + (folder.path / "step.log").read_text("utf-8")
    assert "grey" not in written.lower()
    assert "jukebox" not in written


def test_digests_are_of_the_content_not_of_the_files(folder: Folder) -> None:
    folder.write()
    folder.run("prepare")
    first = json.loads((folder.out / "report.json").read_text(encoding="utf-8"))["digests"]
    for name in ("posts", "annotations"):
        pd.read_csv(folder.path / f"{name}.csv", dtype=str).to_parquet(folder.path / f"{name}.parquet")
    folder.settings["files"] = {name: str(folder.path / f"{name}.parquet") for name in ("posts", "annotations")}
    folder.run("prepare")
    assert json.loads((folder.out / "report.json").read_text(encoding="utf-8"))["digests"] == first


@pytest.mark.parametrize("text", ["1", "1.0", " 1 ", "True", "true"])
def test_a_status_may_be_written_in_many_ways(folder: Folder, text: str) -> None:
    folder.annotations[1][4] = text
    folder.write()
    folder.run("prepare")
    frame = pd.read_parquet(folder.out / "annotations.parquet")
    assert frame.loc[frame["sentence_id"] == "p0_2", "status"].tolist() == [1]


def test_a_criterion_without_a_name_is_called_by_its_id(prepared: Folder) -> None:
    criteria = json.loads((prepared.out / "criteria.json").read_text(encoding="utf-8"))
    assert criteria[2] == {"id": "WEIGHT", "name": "WEIGHT", "text": "A change of weight."}


def test_all_pairs_and_posts_as_unit_are_possible(folder: Folder) -> None:
    folder.write()
    folder.run("prepare")
    folder.run("split")
    settings = {"criteria": {"unit": "post"}, "evidence": {"negatives_per_positive": None}}
    posts = len(pd.read_parquet(folder.out / "splits/train/posts.parquet"))
    for task in ("criteria", "evidence"):
        folder.run("example", task, "train", settings)
        frame = pd.read_parquet(folder.out / f"examples/{task}/train.parquet")
        assert len(frame) == 3 * posts


def test_an_unknown_task_is_refused(prepared: Folder, fails: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        prepared.run("example", "criterion", "train")
    assert stopped.value.code == 2
