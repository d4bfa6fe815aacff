"""The trials that lie in a results folder, finished stages and stages under way alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.errors import DataError
from evidence_hpo.schemas import read_artefact, read_artefact_lines

__all__ = ["StageResults", "found_stages", "read_stage"]

_ROUND = re.compile(r"round_(\d+)$")


@dataclass(frozen=True)
class StageResults:
    """A stage as far as it is: finished trials by number, how many are proposed, its space."""

    architecture: str
    stage: str
    trials: list[dict[str, Any]]
    proposed: int
    space: Mapping[str, Any]


def found_stages(root: Path) -> dict[str, list[str]]:
    """Return architecture -> its stages that have a proposed round, the one with the newest file last."""
    newest: dict[str, list[tuple[float, str]]] = {}
    for folder in sorted(root.glob(Path(paths.PROPOSALS).parts[0] + "/*/*")):
        files = [*folder.glob("round_*/proposals.json"), *folder.glob("round_*/shard_*.jsonl")]
        if files:
            moment = max(file.stat().st_mtime for file in files)
            newest.setdefault(folder.parent.name, []).append((moment, folder.name))
    return {architecture: [name for _, name in sorted(stages)] for architecture, stages in sorted(newest.items())}


def read_stage(root: Path, architecture: str, stage: str) -> StageResults:
    """Read what there is of a stage, from the shards of its rounds.

    A record counts if the round still proposes it as it was run: shards that an earlier configuration left behind
    are passed over.

    Raises:
        DataError: The stage has no space, or a file breaks its schema.
    """
    space = root / paths.SPACE.format(architecture=architecture, stage=stage)
    trials: dict[int, dict[str, Any]] = {}
    proposed = 0
    for proposals in sorted(space.parent.glob("round_*/proposals.json")):
        if not _ROUND.search(proposals.parent.name):
            continue
        wanted = {one["number"]: one for one in read_artefact(proposals, "proposals")["trials"]}
        proposed += len(wanted)
        for shard in sorted(proposals.parent.glob("shard_*.jsonl")):
            for row in read_artefact_lines(shard, "trial"):
                one = wanted.get(row["number"])
                if one is not None and (one["seed"], one["parameters"]) == (row["seed"], row["parameters"]):
                    trials[row["number"]] = row
    if not proposed:
        raise DataError(f"{space.parent}: no round is proposed there yet")
    rows = [trials[number] for number in sorted(trials)]
    return StageResults(architecture, stage, rows, proposed, read_artefact(space, "space"))
