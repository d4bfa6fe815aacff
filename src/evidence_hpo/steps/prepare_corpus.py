"""Step prepare_corpus: read the source, check it, align the evidence, write the corpus and its report."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.data import CorpusSettings
from evidence_hpo.data import tables
from evidence_hpo.data.alignment import align_annotations
from evidence_hpo.data.corpus_report import describe_corpus, log_findings
from evidence_hpo.data.criteria_file import load_criteria
from evidence_hpo.data.sources import load_corpus
from evidence_hpo.data.validation import validate_corpus
from evidence_hpo.schemas import write_artefact
from evidence_hpo.step import run_step


def prepare_corpus(*, settings: CorpusSettings, posts: Path, annotations: Path, criteria: Path, report: Path) -> None:
    """Read the corpus from its source, check and align it, and write posts, annotations, criteria and a report."""
    known = load_criteria(settings.criteria_file)
    raw = load_corpus(settings)
    corpus = validate_corpus(raw, settings, [criterion["id"] for criterion in known])
    aligned = align_annotations(corpus.posts, corpus.annotations, settings.alignment.fuzzy_threshold)
    described = describe_corpus(corpus, aligned, known, raw.description)
    tables.write_table(posts, corpus.posts, tables.POSTS)
    tables.write_table(annotations, aligned, tables.ANNOTATIONS)
    write_artefact(criteria, "criteria", known)
    write_artefact(report, "corpus_report", described)
    log_findings(described)


if __name__ == "__main__":
    run_step(prepare_corpus)
