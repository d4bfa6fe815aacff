"""The files of a study as far as they are there, for those who show them: nothing here waits for a job to end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_file, read_json, read_json_lines
from evidence_hpo.tracking.events import Event, first_of_each

__all__ = ["Results", "RunEvents", "mirrored"]

_ROUND = re.compile(r"round_(\d+)$")


@dataclass
class RunEvents:
    """Events of one content key.

    Attributes:
        points: Evaluations by epoch.
        system: Measurements of finished epochs, by epoch.
        finished: The last end, if there is one.
        artefacts: Files that the run left.
    """

    points: dict[float, Event] = field(default_factory=dict)
    system: dict[float, Event] = field(default_factory=dict)
    finished: Event | None = None
    artefacts: list[Event] = field(default_factory=list)


class Results:
    """Reads a study's folder.

    Args:
        root: Folder in which `results` lies.
        events: All events of the study so far.
    """

    def __init__(self, root: Path, events: Iterable[Event]) -> None:
        self.root = root
        self.runs: dict[str, RunEvents] = {}
        self.started: dict[tuple[Any, ...], list[Event]] = {}
        for event in first_of_each(events):
            self._add(event)

    def _add(self, event: Event) -> None:
        if event.kind == "run_started":
            self.started.setdefault(_place(event.fields["about"].get("place", {})), []).append(event)
            return
        run = self.runs.setdefault(event.key, RunEvents())
        if event.kind == "metrics":
            run.points[event.fields["epoch"]] = event
        elif event.kind == "system":
            run.system[event.fields["epoch"]] = event
        elif event.kind == "artefact":
            run.artefacts.append(event)
        else:
            run.finished = event

    def events_of(self, key: str) -> RunEvents:
        """Return the events of a content key."""
        return self.runs.get(key) or RunEvents()

    def start_of(self, key: str, place: Mapping[str, Any]) -> Event | None:
        """Return the beginning of the run of a content key at a place of the study."""
        return next((event for event in self.started.get(_place(place), []) if event.key == key), None)

    def newest_start(self, place: Mapping[str, Any], parameters: Mapping[str, Any], seed: int) -> Event | None:
        """Return the newest beginning at a place of a run with the given parameters and seed.

        Events of an earlier configuration are passed over.
        """
        for event in reversed(self.started.get(_place(place), [])):
            about = event.fields["about"]
            if about.get("parameters") == parameters and about.get("seed") == seed:
                return event
        return None

    def starts(self, **place: Any) -> list[Event]:
        """Return all beginnings within a part of the study, the newest first."""
        wanted = set(place.items())
        found = [event for where, events in self.started.items() if wanted <= set(where) for event in events]
        return sorted(found, key=lambda event: event.time, reverse=True)

    # --- files -------------------------------------------------------------------------------------------------

    def path(self, pattern: str, **wildcards: Any) -> Path:
        """Return a path of the study."""
        return self.root / pattern.format(**wildcards)

    def read(self, path: Path) -> Any:
        """Return the content of a JSON file, or None if it is not there (any more)."""
        try:
            return read_json(path)
        except DataError:
            return None

    def rows(self, path: Path) -> list[Any]:
        """Return the rows of a file of JSON lines; none if it is not there (any more)."""
        try:
            return read_json_lines(path)
        except DataError:
            return []

    @cached_property
    def stages(self) -> list[tuple[str, str]]:
        """Architecture and name of all stages that have a proposed round."""
        found = self.root.glob(paths.PROPOSALS.format(architecture="*", stage="*", round="0"))
        return sorted((path.parents[2].name, path.parents[1].name) for path in found)

    def rounds(self, architecture: str, stage: str) -> list[Path]:
        """Return the folders of the rounds of a stage, in order."""
        folder = self.path(paths.SPACE, architecture=architecture, stage=stage).parent
        numbered = [(int(found[1]), path) for path in folder.glob("round_*") if (found := _ROUND.search(path.name))]
        return [path for _, path in sorted(numbered)]

    def records(self, round_: Path) -> dict[int, tuple[dict[str, Any], Path]]:
        """Return the finished trials of a round by number, each with the shard that holds it."""
        found = {}
        for shard in sorted(round_.glob("shard_*.jsonl")):
            for row in self.rows(shard):
                found[row["number"]] = (row, shard)
        return found

    def provenance(self, artefact: Path) -> dict[str, Any]:
        """Return the provenance of the job that wrote a record or shard; empty while it runs."""
        return self.read(self.root / mirrored(artefact.relative_to(self.root))) or {}

    @cached_property
    def study_name(self) -> str | None:
        """Name of the study; None while nothing has begun."""
        for architecture, stage in self.stages:
            proposals = self.read(self.path(paths.PROPOSALS, architecture=architecture, stage=stage, round=0))
            if proposals:
                return str(proposals["study"])
        singles = [self.read(path) for path in sorted(self.root.glob(paths.RUN_RECORD.format(run="*")))]
        places = [dict(place) for place in self.started]
        names = [one["study"] for one in [*(record for record in singles if record), *places] if "study" in one]
        return str(names[0]) if names else None

    @cached_property
    def splits(self) -> str | None:
        """Digest of the file of the splits, which tells one corpus from another."""
        path = self.path(paths.SPLITS)
        return digest_file(path) if path.is_file() else None

    @cached_property
    def study_id(self) -> str | None:
        """Id of the finished study."""
        summary = self.read(self.path(paths.STUDY_SUMMARY))
        return summary["study_id"] if summary else None

    @cached_property
    def data(self) -> dict[str, str]:
        """Id and revision of the corpus."""
        report = self.read(self.path(paths.CORPUS_REPORT)) or {}
        source = report.get("source", {})
        digests = report.get("digests", {})
        name = source.get("dataset") or source.get("kind")
        revision = source.get("revision") or digests.get("posts", "")[:12]
        return {key: str(value) for key, value in (("dataset_id", name), ("dataset_revision", revision)) if value}

    def model(self, backbone: str) -> dict[str, str]:
        """Return id and revision of an encoder."""
        if backbone not in self._models:
            manifest = self.read(self.path(paths.BACKBONE_MANIFEST, backbone=backbone)) or {}
            revision = manifest.get("commit") or manifest.get("revision") or manifest.get("digest", "")[:12]
            self._models[backbone] = {"model_id": manifest.get("model") or backbone, "model_revision": revision}
        return self._models[backbone]

    @cached_property
    def _models(self) -> dict[str, dict[str, str]]:
        return {}


def mirrored(artefact: Path) -> Path:
    """Return the provenance file of the job that wrote a shard or a retrained run's record."""
    parts = artefact.parts
    inner = Path(*parts[1:])
    name = inner.parent if inner.name == "record.json" else inner.with_suffix("")
    return Path(parts[0], "provenance", f"{name}.json")


def _place(place: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a place without its round, which follows from the number."""
    return tuple(sorted((name, value) for name, value in place.items() if name != "round"))
