"""The result of a reproduction: each metric as it was and as it is, and whether that counts as the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evidence_hpo.evaluation.intervals import rounded
from evidence_hpo.provenance import lineage_tags
from evidence_hpo.reproduction.differences import Difference
from evidence_hpo.reproduction.recorded import RecordedRun

__all__ = ["Comparison", "compare", "result_document", "result_path"]

_RESULT = "results/reproduce/{run}/{mode}.json"


@dataclass(frozen=True)
class Comparison:
    """A metric as recorded and as it came out again; ``delta`` is how far apart they are."""

    metric: str
    original: float
    replayed: float
    delta: float
    within: bool


def compare(recorded: Mapping[str, float], replayed: Mapping[str, float], tolerance: float) -> list[Comparison]:
    """Return each recorded metric beside the replayed one.

    Args:
        recorded: Recorded values.
        replayed: The same metrics, and perhaps more.
        tolerance: Largest difference that counts as the same.
    """
    rows = []
    for name, original in sorted(recorded.items()):
        delta = rounded(abs(replayed[name] - original))
        rows.append(Comparison(name, original, replayed[name], delta, delta <= tolerance))
    return rows


def result_path(run: str, mode: str) -> Path:
    """Return where the result of the reproduction of a run is written."""
    return Path(_RESULT.format(run=run, mode=mode))


def result_document(
    run: RecordedRun,
    run_id: str,
    mode: str,
    tolerance: float,
    rows: Sequence[Comparison],
    found: Sequence[Difference],
    weights: str | None,
) -> dict[str, Any]:
    """Return the content of the result file.

    Args:
        run: The recorded run.
        run_id: The id by which it was named.
        mode: ``eval`` or ``train``.
        tolerance: See :func:`compare`.
        rows: The metrics.
        found: What differs from how the run was made.
        weights: SHA-256 of the weights of a repeated training.
    """
    recorded = run.record["checkpoint"]["sha256"]
    changed = sorted({one.kind for one in found if one.kind not in ("commit", "model")})
    same = {
        "recorded": recorded,
        "retrained": weights,
        "identical": weights == recorded,
        "expected": not changed and bool(run.origin),
    }
    passed = all(row.within for row in rows) and (bool(rows) or weights == recorded)
    status = "passed" if passed else "failed"
    names = {"original_run_id": run_id, "mode": mode}
    return {
        "run": run.name,
        "record": run.path.as_posix(),
        "mode": mode,
        "tolerance": tolerance,
        "status": status,
        "metrics": {
            f"{part}_{row.metric}": getattr(row, part) for row in rows for part in ("original", "replayed", "delta")
        },
        "weights": same if weights else None,
        "differences": [asdict(one) for one in found],
        "params": {**names, "tolerance": tolerance},
        "tags": {
            **lineage_tags("reproducibility", run.record["digests"]),
            "original_run_id": run_id,
            "reproducibility_status": status,
        },
    }
