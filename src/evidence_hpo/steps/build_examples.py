"""Step build_examples: the examples of one task and one split."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from evidence_hpo.config.data import ExampleSettings
from evidence_hpo.data import tables
from evidence_hpo.data.examples import build_examples as build
from evidence_hpo.data.examples import log_examples
from evidence_hpo.schemas import read_artefact
from evidence_hpo.step import run_step


def build_examples(
    *,
    settings: ExampleSettings,
    task: Literal["criteria", "evidence"],
    seed: int,
    posts: Path,
    annotations: Path,
    criteria: Path,
    output: Path,
) -> None:
    """Build the examples of one task from one split's posts and annotations."""
    own_posts = tables.read_table(posts, tables.POSTS)
    own_annotations = tables.read_table(annotations, tables.ANNOTATIONS)
    known = [criterion["id"] for criterion in read_artefact(criteria, "criteria")]
    examples = build(settings, task, seed, own_posts, own_annotations, known)
    tables.write_table(output, examples.frame, tables.EXAMPLES)
    log_examples(task, examples)


if __name__ == "__main__":
    run_step(build_examples)
