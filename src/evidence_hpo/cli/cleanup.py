"""The command `cleanup`: removes what nothing needs any more, and says what it keeps."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from filelock import FileLock, Timeout

from evidence_hpo.cli.budget import seconds_of
from evidence_hpo.cli.checkpoint_files import checkpoints_in, run_folders
from evidence_hpo.cli.list_checkpoints import checkpoint_settings, study_of_run
from evidence_hpo.cli.locks import claim_folder
from evidence_hpo.cli.removable import Finding, StudyFiles, findings, freed_bytes
from evidence_hpo.cli.studies import read_study, study_folder
from evidence_hpo.cli.tables import show_json
from evidence_hpo.errors import ConfigurationError, DataError, EvidenceHpoError, StorageError

__all__ = ["Cleaned", "clean", "cleanup"]

_GIGABYTE = 1e9


class _CleanupError(EvidenceHpoError):
    """Something could not be removed, or nothing is known to be without reference (exit code 1)."""


class _NotFoundError(EvidenceHpoError):
    """The study or the run is not there (exit code 2, as the contract of this command has it)."""

    exit_code = 2


@dataclass
class Cleaned:
    """What was removed, or would be.

    Attributes:
        removed: What and why, with the files.
        freed: Bytes that the disk got back.
        in_use: Folders of runs that are under way right now.
        preserved: Checkpoints that are left.
        problems: One line for each file that could not be removed.
    """

    removed: list[tuple[str, Path]] = field(default_factory=list)
    freed: int = 0
    in_use: list[Path] = field(default_factory=list)
    preserved: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Study = Annotated[Path | None, typer.Option(help="Folder of a study; default: the working directory.")]
Trial = Annotated[Path | None, typer.Option(help="Folder of one run, as in list-checkpoints, instead of a study.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")]
Aggressive = Annotated[bool, typer.Option("--aggressive", help="Keep the best weights and newest resume points only.")]
Orphaned = Annotated[bool, typer.Option("--orphaned-only", help="Remove only what nothing refers to.")]
Older = Annotated[str | None, typer.Option(help="Remove only what was not written to for so long: 90m, 12h, 7d.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def cleanup(
    study_dir: Study = None,
    trial_dir: Trial = None,
    dry_run: DryRun = False,
    aggressive: Aggressive = False,
    orphaned_only: Orphaned = False,
    older_than: Older = None,
    as_json: AsJson = False,
) -> None:
    """Remove checkpoints that nothing needs, by the study's retention policy (training.checkpoints).

    Never removed: models, records and reports that a summary refers to, anything of a run that is under way, and the
    newest resume point of an interrupted one. After it, the study has nothing to run again.

    Example: evidence-hpo cleanup --study-dir . --dry-run
    """
    if study_dir is not None and trial_dir is not None:
        raise ConfigurationError("--study-dir and --trial-dir: give one of them")
    seconds = None if older_than is None else seconds_of(older_than, "--older-than")
    root = _root(study_dir or Path(), trial_dir)
    try:
        complete = read_study(root).status == "completed"
        if not dry_run:
            claim_folder(root)  # no run may begin meanwhile
        study = StudyFiles(root, checkpoint_settings(root), complete)
        found = [one for one in findings(study, aggressive=aggressive, within=trial_dir) if _counts(one, orphaned_only)]
    except StorageError as error:
        raise _CleanupError(f"{error}; or look with --dry-run") from error
    except DataError as error:
        raise _CleanupError(f"nothing is removed, as it is not known what is needed: {error}") from error
    old = [one for one in found if seconds is None or time.time() - _newest(one) > seconds]
    cleaned = clean(old, dry_run=dry_run)
    cleaned.preserved = _preserved(study, trial_dir, [path for _, path in cleaned.removed])
    if as_json:
        show_json(_described(cleaned, root, dry_run=dry_run))
    else:
        _print(cleaned, root, dry_run=dry_run)
    if cleaned.problems:
        raise _CleanupError("\n".join(cleaned.problems))


def _root(study_dir: Path, trial_dir: Path | None) -> Path:
    for folder in (trial_dir or study_dir,):
        if not folder.is_dir():
            raise _NotFoundError(f"{folder}: no such folder")
    try:
        return study_of_run(trial_dir) if trial_dir else study_folder(study_dir.resolve())
    except DataError as error:
        raise _NotFoundError(str(error)) from error


def _counts(finding: Finding, orphaned_only: bool) -> bool:
    return finding.orphaned or not orphaned_only


def _newest(finding: Finding) -> float:
    files = [inner for file in finding.files for inner in (file, *(file.rglob("*") if file.is_dir() else ()))]
    return max((file.lstat().st_mtime for file in files), default=0.0)


def clean(found: list[Finding], *, dry_run: bool) -> Cleaned:
    """Remove findings, each under the lock of its run; what is locked or cannot be removed stays."""
    cleaned = Cleaned()
    going: list[Path] = []
    with contextlib.ExitStack() as locks:
        free = []
        for finding in found:
            if finding.run is None or _locked(finding.run, locks, needed=not dry_run):
                free.append(finding)
                going += finding.files
            else:
                cleaned.in_use.append(finding.run)
        cleaned.freed = freed_bytes(going)
        for finding in free:
            for path, problem in _removed(finding, dry_run=dry_run):
                cleaned.removed.append((finding.what, path))
                if problem:
                    cleaned.problems.append(problem)
                    cleaned.removed.pop()
    return cleaned


def _locked(run: Path, locks: contextlib.ExitStack, *, needed: bool) -> bool:
    """Hold the run's lock until the end, or only see whether it is free; the lock's file itself always stays."""
    lock = FileLock(run / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError:  # not writable: the removal will say so
        return True
    if needed:
        locks.callback(lock.release)
    else:
        lock.release()
    return True


def _removed(finding: Finding, *, dry_run: bool) -> Iterator[tuple[Path, str | None]]:
    for path in finding.files:
        try:
            if not dry_run:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError as error:
            yield path, f"{path}: cannot be removed: {error.strerror}"
            return  # what it names must stay as well
        yield path, None


def _preserved(study: StudyFiles, trial_dir: Path | None, removed: list[Path]) -> list[Path]:
    runs = [trial_dir.resolve()] if trial_dir else run_folders(study.root)
    gone = {path.resolve() for path in removed}
    kept = [one.path for run in runs for one in checkpoints_in(run, study.settings)]
    return [path for path in kept if not gone & {path.resolve(), *path.resolve().parents}]


def _described(cleaned: Cleaned, root: Path, *, dry_run: bool) -> dict[str, Any]:
    def shown(path: Path) -> str:
        return path.resolve().relative_to(root.resolve()).as_posix()

    return {
        "study_dir": str(root),
        "dry_run": dry_run,
        "removed": [{"path": shown(path), "reason": what} for what, path in cleaned.removed],
        "freed_gb": cleaned.freed / _GIGABYTE,
        "in_use": [shown(path) for path in cleaned.in_use],
        "preserved": [shown(path) for path in cleaned.preserved],
        "problems": cleaned.problems,
    }


def _print(cleaned: Cleaned, root: Path, *, dry_run: bool) -> None:
    content = _described(cleaned, root, dry_run=dry_run)
    for one in content["removed"]:
        typer.echo(f"{'would remove' if dry_run else 'removed'} {one['path']} ({one['reason']})")
    for path in content["in_use"]:
        typer.echo(f"in use, kept {path}")
    typer.echo(f"{'would free' if dry_run else 'freed'} {content['freed_gb']:.3f} GB")
    typer.echo(f"preserved checkpoints: {len(content['preserved'])}")
    for path in content["preserved"]:
        typer.echo(f"  {path}")
