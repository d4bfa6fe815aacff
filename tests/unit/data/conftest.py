"""A tiny corpus of its own for the data tests: three criteria, nine posts, every kind of annotation."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.step import run_step
from evidence_hpo.steps.build_examples import build_examples
from evidence_hpo.steps.prepare_corpus import prepare_corpus
from evidence_hpo.steps.split_corpus import split_corpus

CRITERIA = [
    {"id": "MOOD", "name": "Mood", "text": "A low mood most of the day."},
    {"id": "SLEEP", "name": "Sleep", "text": "Too little or too much sleep."},
    {"id": "WEIGHT", "text": "A change of weight."},
]
POSTS = [
    [f"p{n}", f"Marker{n} opens the text. I cannot sleep since day {n}. Everything is grey, {n}."] for n in range(9)
]
ANNOTATIONS = [
    row
    for n in range(8)
    for row in (
        [f"p{n}", f"p{n}_1", f"I cannot sleep since day {n}.", "SLEEP", "1", "note"],
        [f"p{n}", f"p{n}_2", f"everything is GREY, {n}.", "MOOD", str(n % 2), ""],
    )
]
POST_HEADER = ["post_id", "text"]
ANNOTATION_HEADER = ["post_id", "sentence_id", "sentence_text", "DSM5_symptom", "status", "explanation"]


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@dataclass
class CorpusFolder:
    """Input files that a test may spoil, and the commands that read them."""

    path: Path
    posts: list[list[str]] = field(default_factory=lambda: [list(row) for row in POSTS])
    annotations: list[list[str]] = field(default_factory=lambda: [list(row) for row in ANNOTATIONS])
    criteria: Any = field(default_factory=lambda: [dict(entry) for entry in CRITERIA])
    settings: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=lambda: {"train": 0.5, "validation": 0.25, "test": 0.25})

    @property
    def out(self) -> Path:
        return self.path / "out"

    def write(self) -> None:
        write_csv(self.path / "posts.csv", POST_HEADER, self.posts)
        write_csv(self.path / "annotations.csv", ANNOTATION_HEADER, self.annotations)
        (self.path / "criteria.json").write_text(json.dumps(self.criteria), encoding="utf-8")

    def prepare_arguments(self) -> list[str]:
        settings = {
            "source": "files",
            "files": {"posts": str(self.path / "posts.csv"), "annotations": str(self.path / "annotations.csv")},
            "criteria_file": str(self.path / "criteria.json"),
            **self.settings,
        }
        outputs = {name: self.out / f"{name}.parquet" for name in ("posts", "annotations")}
        outputs |= {name: self.out / f"{name}.json" for name in ("criteria", "report")}
        return [
            "--settings", json.dumps(settings), "--log", str(self.path / "step.log"),
            *(part for name, file in outputs.items() for part in (f"--{name}", str(file))),
        ]  # fmt: skip

    def split_arguments(self, seed: int = 3) -> list[str]:
        arguments = ["--settings", json.dumps(self.split), "--seed", str(seed), "--log", str(self.path / "step.log")]
        for name in ("posts", "annotations"):
            arguments += [f"--{name}", str(self.out / f"{name}.parquet")]
            for split in ("train", "validation", "test"):
                arguments += [f"--{split}-{name}", str(self.out / "splits" / split / f"{name}.parquet")]
        return [*arguments, "--splits", str(self.out / "splits" / "splits.json")]

    def example_arguments(self, task: str, split: str, settings: dict[str, Any] | None = None) -> list[str]:
        arguments = ["--settings", json.dumps(settings or {}), "--seed", "3", "--log", str(self.path / "step.log")]
        for name in ("posts", "annotations"):
            arguments += [f"--{name}", str(self.out / "splits" / split / f"{name}.parquet")]
        output = self.out / "examples" / task / f"{split}.parquet"
        return [*arguments, "--task", task, "--criteria", str(self.out / "criteria.json"), "--output", str(output)]

    def run(self, step: str, *arguments: Any) -> None:
        functions = {"prepare": prepare_corpus, "split": split_corpus, "example": build_examples}
        run_step(functions[step], getattr(self, f"{step}_arguments")(*arguments))


@pytest.fixture
def folder(tmp_path: Path) -> CorpusFolder:
    return CorpusFolder(tmp_path)


@pytest.fixture
def prepared(folder: CorpusFolder) -> CorpusFolder:
    folder.write()
    folder.run("prepare")
    return folder


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Run a step that must fail with code 3; return the lines of its message."""

    def run(folder: CorpusFolder, step: str, *arguments: Any, code: int = 3) -> list[str]:
        before = sorted(folder.out.rglob("*"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            folder.run(step, *arguments)
        assert stopped.value.code == code
        assert sorted(folder.out.rglob("*")) == before, "a failed step leaves no file behind"
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        return message.removeprefix("error: ").strip().split("\n")

    return run
