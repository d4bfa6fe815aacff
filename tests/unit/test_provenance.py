"""Lineage: what a step leaves beside its results, and the flat tags that are made of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evidence_hpo import provenance
from evidence_hpo.config.retrain import RetrainSettings
from evidence_hpo.files import digest_bytes, write_text
from evidence_hpo.provenance import (
    git_state,
    library_versions,
    lineage_tags,
    origin_here,
    provenance_of_record,
    read_origin,
)
from evidence_hpo.step import run_step

DIGESTS = {
    "train": {"criteria": "a" * 64, "evidence": "b" * 64},
    "validation": {"criteria": "c" * 64},
    "backbone": "d" * 64,
    "code": "e" * 64,
    "predictions": "f" * 64,
}
RECORD = Path("results/criteria/retrain/final/seed_0/record.json")


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a step leaves that was given two files, a folder and a section of the configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(provenance.CONFIGURATION_VARIABLE, "9" * 64)
    write_text(Path("results/a.txt"), "first")
    Path("results/folder").mkdir()

    def copy(settings: RetrainSettings, sources: list[Path], folder: Path, target: Path) -> None:
        write_text(target, sources[0].read_text(encoding="utf-8") + str(settings.top_k))

    arguments = ["--settings", '{"top_k": 7}', "--sources", "results/a.txt", "--folder", "results/folder"]
    log = "results/logs/criteria/retrain/final/seed_0.log"
    run_step(copy, [*arguments, "--target", RECORD.as_posix(), "--code", "5" * 64, "--log", log])
    left = json.loads(Path("results/provenance/criteria/retrain/final/seed_0.json").read_text(encoding="utf-8"))
    assert left == read_origin(RECORD)
    return dict(left)


def test_a_step_names_the_digest_of_each_file_that_it_read_or_wrote(step: dict[str, Any]) -> None:
    assert step["files"] == {"results/a.txt": digest_bytes(b"first"), RECORD.as_posix(): digest_bytes(b"first7")}
    assert step["arguments"]["settings"]["top_k"] == 7
    assert step["configuration"] == "9" * 64


def test_tags_are_those_of_the_job_and_not_of_the_process_that_reads_them(step: dict[str, Any]) -> None:
    recorded = {**step, "git": {"commit": "1" * 40, "branch": "study", "dirty": True}}
    recorded["hardware"] = {"cpus": 64, "gpus": ["A", "B"], "processor": "P"}
    tags = lineage_tags("retrain", DIGESTS, recorded)
    assert tags["stage"] == "retrain"
    assert (tags["git.commit"], tags["git.branch"], tags["git.dirty"]) == ("1" * 40, "study", "true")
    assert {name: value for name, value in tags.items() if name.startswith("hardware.")} == {
        "hardware.cpus": "64",
        "hardware.gpus": "A, B",
        "hardware.processor": "P",
    }
    assert tags["version.torch"] == library_versions()["torch"]
    assert {name: value[0] for name, value in tags.items() if "hash" in name} == {
        "config.hash": "9",
        "code.hash": "e",
        "backbone.hash": "d",
        "data.hash.predictions": "f",
        "data.hash.train.criteria": "a",
        "data.hash.train.evidence": "b",
        "data.hash.validation.criteria": "c",
    }


def test_without_a_provenance_file_the_tags_are_of_this_process(tmp_path: Path) -> None:
    assert read_origin(tmp_path / RECORD) == {}
    assert read_origin(tmp_path / "elsewhere" / "record.json") == {}
    tags = lineage_tags("train")
    assert tags["version.python"] == origin_here()["versions"]["python"]
    assert not [name for name in tags if name.startswith(("data.hash", "backbone.hash"))]


def test_a_record_of_any_kind_of_run_has_its_provenance_at_the_place_of_its_log() -> None:
    folder = Path("/study/results/provenance")
    assert provenance_of_record(Path("/study") / RECORD) == folder / "criteria/retrain/final/seed_0.json"
    assert provenance_of_record(Path("/study/results/runs/mine/record.json")) == folder / "runs/mine.json"


def test_git_state_says_what_is_checked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "package" / "provenance.py"))
    (tmp_path / "package").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    git_state.cache_clear()
    try:
        assert git_state() == {}
        assert lineage_tags("train")["git.commit"] == "unknown"
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        commands = (["init", "-q", "-b", "trunk"], ["add", "-A"], [*identity, "commit", "-q", "-m", "first"])
        (tmp_path / "file").write_text("one", encoding="utf-8")
        for command in commands:
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        git_state.cache_clear()
        clean = git_state()
        assert (len(clean["commit"]), clean["branch"], clean["dirty"]) == (40, "trunk", False)
        (tmp_path / "file").write_text("two", encoding="utf-8")
        git_state.cache_clear()
        assert git_state() == {**clean, "dirty": True}
    finally:
        git_state.cache_clear()
