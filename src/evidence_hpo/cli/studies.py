"""Study folders: which there are, what each holds, and how far it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from evidence_hpo import paths
from evidence_hpo.cli.results import StageResults, found_stages, read_stage
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.loading import load_configuration, read_yaml
from evidence_hpo.errors import DataError
from evidence_hpo.files import read_json
from evidence_hpo.schemas import read_artefact
from evidence_hpo.study_log import read_events

__all__ = ["Study", "find_studies", "is_live", "read_study", "recorded_configuration", "study_folder"]

_DEPTH = 3
_LATE_SECONDS = 1.0
"""The summary of the study is written after all records; clocks of file systems are not finer."""


@dataclass(frozen=True)
class Study:
    """A study as far as it is.

    Attributes:
        folder: The folder that holds its ``results``.
        name: Name, where one is known.
        study_id: Id of its summary; None before there is one.
        stages: Its stages, by architecture in order.
        best: Architecture -> best validation score of the last stage that has one.
        status: completed, in_progress or failed.
        created: Time of its first event (ISO 8601, UTC); None: unknown.
    """

    folder: Path
    name: str | None
    study_id: str | None
    stages: tuple[StageResults, ...]
    best: Mapping[str, float]
    status: str
    created: str | None

    @property
    def trials(self) -> int:
        """Number of finished trials."""
        return sum(len(stage.trials) for stage in self.stages)


def study_folder(folder: Path) -> Path:
    """Return the folder of a study: the one given, or the one above where its ``results`` are given.

    Raises:
        DataError: There is no study.
    """
    found = folder.parent if folder.name == "results" else folder
    if not (found / "results").is_dir():
        raise DataError(f"{folder}: no study there (no folder `results`); start one with `evidence-hpo run`")
    return found


def find_studies(root: Path) -> list[Path]:
    """Return the study folders in ``root``, itself among them, by path; none is looked for inside a study."""
    found: list[Path] = []
    level = [root]
    for _ in range(_DEPTH + 1):
        studies = [folder for folder in level if _holds_study(folder)]
        found += studies
        others = [folder for folder in level if folder not in studies]
        level = [inner for folder in others for inner in _folders(folder) if not inner.name.startswith(".")]
    return sorted(found)


def _holds_study(folder: Path) -> bool:
    return (folder / paths.RESOLVED_CONFIGURATION).is_file() or bool(found_stages(folder))


def _folders(folder: Path) -> Iterable[Path]:
    try:
        return sorted(inner for inner in folder.iterdir() if inner.is_dir() and not inner.is_symlink())
    except PermissionError:
        return []


def recorded_configuration(folder: Path) -> Configuration:
    """Return the configuration that a study was last run with.

    Raises:
        DataError: None is recorded.
        ConfigurationError: It does not fit this version.
    """
    path = folder / paths.RESOLVED_CONFIGURATION
    if not path.is_file():
        raise DataError(f"{path}: no such file; name the study's --configfile")
    return load_configuration(read_yaml(path), folder)


def is_live(folder: Path) -> bool:
    """Return whether a run holds the folder; see :func:`evidence_hpo.cli.locks.claim_folder`."""
    try:
        descriptor = os.open(folder / paths.WORK / "run.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_study(folder: Path, *, own: bool = False) -> Study:
    """Read what there is of a study.

    Args:
        folder: Its folder.
        own: Whether this process itself holds the folder, so that no other runs there.

    Raises:
        DataError: A file breaks its schema.
    """
    stages = tuple(
        read_stage(folder, architecture, stage)
        for architecture, names in found_stages(folder).items()
        for stage in names
    )
    best: dict[str, float] = {}
    for stage in stages:  # the newest stage of an architecture comes last
        values = [trial["value"] for trial in stage.trials if trial["state"] == "complete"]
        if values:
            best[stage.architecture] = max(values)
    summary_path = folder / paths.STUDY_SUMMARY
    summary = read_artefact(summary_path, "study_summary") if summary_path.is_file() else {}
    name = summary.get("study_name") or _name(folder, stages)
    live = not own and is_live(folder)
    status = "in_progress" if live else _status(folder, stages)
    return Study(folder, name, summary.get("study_id"), stages, best, status, _created(folder))


def _name(folder: Path, stages: tuple[StageResults, ...]) -> str | None:
    named = [trial["study"] for stage in stages for trial in stage.trials[:1]]
    if named:
        return str(named[0])
    try:
        content = yaml.safe_load((folder / paths.RESOLVED_CONFIGURATION).read_text(encoding="utf-8"))
        return str(content["study"]["name"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def _status(folder: Path, stages: tuple[StageResults, ...]) -> str:
    events, _ = read_events(folder / paths.STUDY_LOG)
    runs = [event for event in events if event.get("event") in ("run_started", "run_finished")]
    last = runs[-1] if runs else {}
    if last.get("exit_code") and not last.get("interrupted"):
        return "failed"
    # A run that was stopped, or killed so that it never said how it ended: the same command goes on with it.
    ended = not runs or last.get("exit_code") == 0
    return "completed" if ended and _is_whole(folder, stages) else "in_progress"


def _is_whole(folder: Path, stages: tuple[StageResults, ...]) -> bool:
    """Return whether the summary of the study is there and no record is younger."""
    summary = folder / paths.STUDY_SUMMARY
    if not summary.is_file() or any(len(stage.trials) < stage.proposed for stage in stages):
        return False
    records = [*folder.glob("results/*/*/round_*/*.json*"), *folder.glob("results/*/retrain/**/record.json")]
    moment = summary.stat().st_mtime + _LATE_SECONDS
    return all(path.stat().st_mtime <= moment for path in records)


def _created(folder: Path) -> str | None:
    events, _ = read_events(folder / paths.STUDY_LOG)
    times = [str(event["time"]) for event in events[:1] if "time" in event]
    for path in sorted((folder / "results/provenance").rglob("*.json")) if not times else ():
        try:
            times.append(str(read_json(path)["finished_at"]))
        except (DataError, KeyError, TypeError):
            continue
    return min(times, default=None)
