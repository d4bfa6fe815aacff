"""Where the resume points of a run outside the search lie, and what a path to them names."""

from __future__ import annotations

import re
from pathlib import Path

from evidence_hpo.errors import DataError
from evidence_hpo.paths import WORK

__all__ = ["resume_points", "resume_source", "work_folder"]

_POINT = re.compile(r"epoch_(\d+)\.(json|safetensors|optimizer\.safetensors)")


def work_folder(run: str) -> Path:
    """Return where the resume points of a run lie, while it is under way and afterwards."""
    return WORK / "runs" / run


def resume_source(path: Path) -> tuple[Path, int | None]:
    """Return the folder of the resume points that a path names, and the last epoch that counts; None: the newest.

    Args:
        path: ``results/runs/<name>``, the folder of its resume points, or one of these, as ``epoch_005.json``.

    Raises:
        DataError: There are none.
    """
    found = _POINT.fullmatch(path.name)
    if found:
        folder, last = path.parent, int(found[1])
    else:
        beside = path.parent.parent / "work" / "runs" / path.name
        folder, last = (beside if beside.is_dir() else path), None
    points = resume_points(folder)
    if not points or (last is not None and last not in points):
        raise DataError(f"{path}: no resume point is there; name a folder results/runs/<name> or one of its points")
    return folder, last


def resume_points(folder: Path) -> dict[int, Path]:
    """Return the resume points of a folder by epoch."""
    numbers = {path: _POINT.fullmatch(path.name) for path in folder.glob("epoch_*.json")}
    return {int(found[1]): path for path, found in numbers.items() if found}
