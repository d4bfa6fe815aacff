"""What `cleanup` may remove from a study, and in which order, so that at any moment what is left is consistent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evidence_hpo.cli.checkpoint_files import resume_points
from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import DataError
from evidence_hpo.files import read_json, read_json_lines
from evidence_hpo.paths import WORK
from evidence_hpo.search.trial_cache import WEIGHTS
from evidence_hpo.storage import is_abandoned
from evidence_hpo.training.retention import Kept, epoch_name

__all__ = ["Finding", "StudyFiles", "findings", "freed_bytes", "referenced_keys"]


@dataclass(frozen=True)
class Finding:
    """Files that go together, in the order in which they are removed, and why.

    Attributes:
        what: What they are.
        files: Files and folders; what names others goes before what is named.
        run: Folder of the run whose lock is held meanwhile; None: they belong to none.
        orphaned: Whether nothing refers to them.
    """

    what: str
    files: tuple[Path, ...]
    run: Path | None
    orphaned: bool


@dataclass(frozen=True)
class StudyFiles:
    """A study whose files are looked at.

    Attributes:
        root: Its folder.
        settings: Its retention policy.
        complete: Whether nothing of it is left to run, so that what no record names is of use to nobody.
    """

    root: Path
    settings: CheckpointSettings
    complete: bool


def findings(study: StudyFiles, *, aggressive: bool, within: Path | None = None) -> Iterator[Finding]:
    """Yield what may be removed.

    Always: what killed writers left; resume points of finished runs; resume points and weights beyond the retention
    policy; and in a complete study the runs in the trial cache that no record names. Aggressive: of unfinished runs
    all but the newest resume point, of retrained models all weights but the best, and in a complete study the cached
    weights, which the retrained models hold too. Nothing that a summary, a report or a record refers to is among it.

    Args:
        study: The study.
        aggressive: Keep the best only.
        within: Folder to which it is restricted.
    """
    yield from _leftovers(within or study.root / "results")
    keys = referenced_keys(study.root)
    held = _held_keys(study.root) if aggressive and study.complete else frozenset()
    for run in _cached_runs(study.root, within):
        yield from _of_cached_run(run, keys, held, study, aggressive=aggressive)
    for model in sorted(study.root.glob("results/*/retrain/**/model")):
        if within is None or within.resolve() in (model.resolve(), *model.resolve().parents):
            yield from _of_model(model, study.settings, aggressive=aggressive)


def referenced_keys(root: Path) -> frozenset[str]:
    """Return the keys of all runs that a record of the study names, of any stage and any architecture.

    Raises:
        DataError: A record cannot be read: then nothing is known to be without reference.
    """
    records = [
        *(row for path in root.glob("results/*/*/round_*/shard_*.jsonl") for row in read_json_lines(path)),
        *(row for path in root.glob("results/*/*/trials.jsonl") for row in read_json_lines(path)),
        *(read_json(path) for path in root.glob("results/*/retrain/**/record.json")),
    ]
    if not all(isinstance(record, dict) for record in records):
        raise DataError(f"{root / 'results'}: a record is damaged; run the study again before cleaning up")
    return frozenset(str(record["key"]) for record in records if record.get("key"))


def _held_keys(root: Path) -> frozenset[str]:
    """Return the keys of the retrained models whose weights lie in the results."""
    records = root.glob("results/*/retrain/**/record.json")
    return frozenset(str(read_json(path)["key"]) for path in records if (path.parent / "model" / WEIGHTS).is_file())


def _leftovers(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.rglob(".*.tmp")):
        if is_abandoned(path):
            yield Finding("left by a killed writer", (path,), None, orphaned=True)


def _cached_runs(root: Path, within: Path | None) -> list[Path]:
    runs = sorted(path for path in (root / WORK / "trials").glob("*/*") if path.is_dir())
    return [run for run in runs if within is None or within.resolve() in (run.resolve(), *run.resolve().parents)]


def _of_cached_run(
    run: Path, keys: frozenset[str], held: frozenset[str], study: StudyFiles, *, aggressive: bool
) -> Iterator[Finding]:
    record, model, resume = run / "record.json", run / "model", run / "resume"
    there = tuple(path for path in (record, resume, model) if path.exists())
    if study.complete and run.name not in keys:
        if there:
            yield Finding("a run that no record names", _in_order(there), run, orphaned=True)
        return
    if resume.is_dir():
        if record.exists():
            yield Finding("resume points of a finished run", _in_order((resume,)), run, orphaned=True)
        else:
            yield from _of_resume(resume, run, study.settings, 1 if aggressive else study.settings.keep_last_n)
    if run.name in held and model.exists() and record.exists():
        yield Finding("weights that the retrained model holds too", _in_order((record, model)), run, orphaned=False)


def _of_resume(resume: Path, run: Path, settings: CheckpointSettings, keep: int) -> Iterator[Finding]:
    """Yield what is beyond the newest ``keep`` points, and what none of the kept ones needs."""
    points = [point for point, _ in resume_points(resume)]
    if not points:
        return  # not one that can be read: the run decides
    best = points[0].best[: settings.keep_best_k_max] if keep > 1 else points[0].best[:1]
    kept = Kept(tuple(points[:keep]), best)
    needed = {*kept.files(), *(point.name for point in kept.points)}
    others = tuple(path for path in sorted(resume.glob("epoch_*")) if path.name not in needed)
    if others:
        yield Finding("resume points beyond the policy", _in_order(others), run, orphaned=False)


def _of_model(model: Path, settings: CheckpointSettings, *, aggressive: bool) -> Iterator[Finding]:
    described = []
    for path in (model / "checkpoints").glob("epoch_*.json"):
        content = read_json(path)
        described.append((not content["best"], -content["score"], content["epoch"], path))
    keep = 1 if aggressive else settings.keep_best_k_max
    for _, _, epoch, path in sorted(described)[keep:]:
        files = (path, path.with_name(f"{epoch_name(epoch)}.safetensors"))
        yield Finding("weights beyond the policy", tuple(file for file in files if file.exists()), None, orphaned=False)


def _in_order(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return JSON files first: without them, what is left of the tensors counts for nothing."""
    return tuple(sorted(paths, key=lambda path: path.suffix != ".json"))


def freed_bytes(paths: Sequence[Path]) -> int:
    """Return the bytes that the disk gets back: a file with several names counts once, and only if all of them go."""
    files = {
        file
        for path in paths
        for file in ([path] if not path.is_dir() else (inner for inner in path.rglob("*") if inner.is_file()))
    }
    stats = {file: os.lstat(file) for file in files}
    names = Counter((stat.st_dev, stat.st_ino) for stat in stats.values())
    sizes = {(stat.st_dev, stat.st_ino): (stat.st_size, stat.st_nlink) for stat in stats.values()}
    return sum(size for inode, (size, links) in sizes.items() if names[inode] >= links)
