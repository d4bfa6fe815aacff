"""Which of the jobs that left provenance in a folder are of its study, as it is now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from evidence_hpo.reports.jobs import result_files

__all__ = ["study_jobs"]

_IN_ORDER = (
    "prepare_corpus",
    "split_corpus",
    "build_examples",
    "prepare_backbone",
    "build_textattack",
    "prepare_wordnet",
    "augment_examples",
    "augment_with_textattack",
    "tokenize_examples",
    "tokenize_augmented",
    "summarize_augmentation",
)
"""Steps whose files others read, before their readers: of the jobs that name a file, the first by step made it."""

_ALWAYS = (
    "summarize_retraining",
    "report_evaluation",
    "summarize_study",
    "export_study",
    "draw_dag",
    "write_configuration",
)
"""Steps of every study that serve all architectures and are no input of theirs."""

_BANKS_READ = "sources"
"""Argument by which an augmenting step names banks of the other family, of which the order above does not tell."""

_AUGMENTING = ("augment_examples", "augment_with_textattack")
_BESIDE = {
    "summarize_augmentation": _AUGMENTING,
    "plot_augmentation": _AUGMENTING,
    "build_textattack": ("augment_with_textattack",),
}
"""Steps that are part of the study if one of the others is, though no file that they write is named there."""


def study_jobs(provenance: Mapping[str, Any], expected: Collection[str]) -> set[str]:
    """Return the names of the jobs that the results are made of.

    What an earlier state of the study left is none of them: a removed encoder, a bank of a method that is switched off,
    another number of shards; and neither are runs outside the study (``evidence-hpo train``) and their data. The steps
    that count the cost, show it or replay the study into MLflow follow the study.

    Args:
        provenance: Contents by name.
        expected: Names of the jobs of architectures (:func:`evidence_hpo.reports.costs.expected_jobs`).
    """
    makers = _makers(provenance)
    always = {name for name, one in provenance.items() if one["step"] in _ALWAYS}
    found: set[str] = set()
    more = {name for name in expected if name in provenance} | always
    while more - found:
        found = _with_makers(more, provenance, makers)
        steps = {provenance[name]["step"] for name in found}
        more = {name for name, one in provenance.items() if steps.intersection(_BESIDE.get(one["step"], ()))} | found
    return found


def _makers(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return the job that made each file, of the jobs whose files others read."""
    shared = [name for name, one in provenance.items() if one["step"] in _IN_ORDER]
    makers: dict[str, str] = {}
    for name in sorted(shared, key=lambda name: (_IN_ORDER.index(provenance[name]["step"]), name)):
        arguments = provenance[name]["arguments"]
        for path in result_files({key: value for key, value in arguments.items() if key != _BANKS_READ}):
            makers.setdefault(path, name)
    return makers


def _with_makers(names: Iterable[str], provenance: Mapping[str, Any], makers: Mapping[str, str]) -> set[str]:
    """Return the jobs, those that made their inputs, and so on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [makers[path] for path in result_files(provenance[name]["arguments"]) if path in makers]
    return found
