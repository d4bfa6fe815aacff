"""What differs between how a run was made and what is here now: data, model, code, versions, hardware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.code_digest import code_digest
from evidence_hpo.config.banks import sources_of_run
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.files import digest_directory, digest_file, read_json
from evidence_hpo.provenance import origin_here
from evidence_hpo.reproduction.recorded import CacheFiles, RecordedRun
from evidence_hpo.search.trial_cache import WEIGHTS
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.cache import TokenCache

__all__ = ["Difference", "differences", "refuse_changed"]

_HARDWARE = ("machine", "system", "processor", "instructions", "gpus", "cuda")
"""What may change the bits; how many processors there are does not."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as recorded."""

    kind: str
    """data, model, code, versions, hardware or commit."""
    what: str
    recorded: str
    here: str


def differences(
    run: RecordedRun, splits: Sequence[str], versions: Mapping[str, str], *, train: bool
) -> list[Difference]:
    """Return what differs.

    Args:
        run: The recorded run.
        splits: The splits that are read.
        versions: ``search.outcomes.run_versions`` of the run here.
        train: Whether it is trained again, so that the encoder matters and the recorded weights do not.

    Raises:
        DataError: A file is missing.
    """
    found = [difference for cache in run.caches(splits) for difference in _of_cache(run, cache)]
    found += [*_of_backbone(run), *_of_banks(run)] if train else _of_model(run)
    code = code_digest("evidence_hpo.training.run")
    found += _unequal("code", {"training": run.record["digests"]["code"]}, {"training": code})
    here = origin_here()
    recorded_versions = {**run.origin.get("versions", {}), **run.record["versions"]}
    versions_here = {**here["versions"], **versions}
    found += _unequal("versions", recorded_versions, {key: versions_here.get(key) for key in recorded_versions})
    hardware = {key: run.origin.get("hardware", {}).get(key) for key in _HARDWARE if run.origin}
    found += _unequal("hardware", hardware, {key: here["hardware"].get(key) for key in hardware})
    commit = {key: value for key, value in run.origin.get("git", {}).items() if key == "commit"}
    found += _unequal("commit", commit, {key: here["git"].get(key) for key in commit})
    return found


def refuse_changed(run: RecordedRun, found: Sequence[Difference]) -> None:
    """Refuse a run whose data or weights are others than the recorded ones.

    Raises:
        TrainingError: One line that names the first one and the remedy.
    """
    changed = [one for one in found if one.kind in ("data", "model")]
    if changed:
        one = changed[0]
        more = f" ({len(changed) - 1} more)" if len(changed) > 1 else ""
        raise TrainingError(
            f"{run.name}: {one.kind} changed: {one.what} is {one.here}, recorded is {one.recorded}{more}; put the "
            "recorded file back, or run the study again"
        )


def _of_cache(run: RecordedRun, cache: CacheFiles) -> Iterator[Difference]:
    """Compare a cache's files with what their job wrote, then what they are made of with the record."""
    written = read_json(cache.provenance).get("files", {}) if cache.provenance.is_file() else {}
    for path in (cache.texts, cache.examples):
        here, recorded = digest_file(path), written.get(path.as_posix())
        if recorded is not None and here != recorded:
            yield Difference("data", path.as_posix(), recorded, here)
            return
    opened = TokenCache.open(cache.texts, cache.examples)
    recorded = _recorded_digests(run, cache.split).get(cache.task)
    if recorded is None:
        raise DataError(f"{run.path}: names no digest of {cache.task}, {cache.split} split")
    if opened.digest != recorded:
        yield Difference("data", f"{cache.split} examples of {cache.task}", recorded, opened.digest)


def _recorded_digests(run: RecordedRun, split: str) -> Mapping[str, str]:
    """Return the digests of a split by task: training knows its own two, the evaluation the test split."""
    digests = run.evaluation["digests"] if split == "test" and run.evaluation else run.record["digests"]
    found: Mapping[str, str] = digests.get(split, {})
    return found


def _of_banks(run: RecordedRun) -> Iterator[Difference]:
    """Compare what the run may take of each bank with the record."""
    parameters, recorded = run.record["parameters"], run.record["digests"].get("augmentation", {})
    for files in run.banks():
        opened = TokenBank.open(files.texts, files.examples)
        here, name = opened.digest(sources_of_run(parameters, opened.bank.source)), str(opened.bank)
        expected = recorded.get(files.task, {}).get(name)
        if here != expected:
            yield Difference("data", f"bank {name} of {files.task}", _shown(expected), here)


def _of_model(run: RecordedRun) -> list[Difference]:
    path = run.model / WEIGHTS
    return _unequal(
        "model", {path.as_posix(): run.record["checkpoint"]["sha256"]}, {path.as_posix(): digest_file(path)}
    )


def _of_backbone(run: RecordedRun) -> list[Difference]:
    folder = Path(paths.BACKBONE.format(backbone=run.backbone))
    if not folder.is_dir():
        raise DataError(f"{folder}: no such encoder; run prepare_backbone again")
    here = digest_directory(folder)
    return _unequal("data", {folder.as_posix(): run.record["digests"]["backbone"]}, {folder.as_posix(): here})


def _unequal(kind: str, recorded: Mapping[str, Any], here: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(kind, name, _shown(value), _shown(here.get(name)))
        for name, value in sorted(recorded.items())
        if value != here.get(name)
    ]


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
