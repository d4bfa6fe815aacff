"""What the tracking store should hold: runs with their points, as the files of a study say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from evidence_hpo.files import digest_file, digest_json

__all__ = ["Artefact", "Point", "TrackedRun"]


class Point(NamedTuple):
    """A value of a metric. A run has each name at most once at a step."""

    name: str
    step: int
    value: float
    time: int
    """Milliseconds since 1970."""


@dataclass(frozen=True)
class Artefact:
    """A file of a run.

    Attributes:
        name: Path within the run.
        source: The file; None where it is made when it is sent.
        make: Writes it to a path.
        data: What it is made from, as JSON values.
    """

    name: str
    source: Path | None = None
    make: Callable[[Path], None] | None = None
    data: Any = None

    @property
    def digest(self) -> str:
        """Digest of the file's content, or of what it is made from."""
        return digest_file(self.source) if self.source else digest_json(self.data)


@dataclass(frozen=True)
class TrackedRun:
    """A run as it should be in the store.

    Attributes:
        key: What makes it this run and no other; it is written into the store, and so finds the run again.
        name: Shown name.
        parent: Key of the run that it is nested in.
        state: running, complete, pruned or failed.
        started: Milliseconds since 1970.
        ended: The same; None while it runs.
        parameters: Written once: the store lets no one change them.
        tags: Tags, which may change.
        points: Points, which are only added.
        artefacts: Files.
    """

    key: str
    name: str
    parent: str | None
    state: str
    started: int
    ended: int | None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()
    artefacts: Sequence[Artefact] = ()

    @cached_property
    def digest(self) -> str:
        """Digest of everything but the times: equal if the store needs nothing."""
        return digest_json(
            [
                self.name,
                self.parent,
                self.state,
                dict(self.parameters),
                dict(self.tags),
                sorted((point.name, point.step, point.value) for point in self.points),
                sorted((artefact.name, artefact.digest) for artefact in self.artefacts),
            ]
        )
