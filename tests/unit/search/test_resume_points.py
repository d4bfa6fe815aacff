"""What a path to a run names: its resume points, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence_hpo.errors import DataError
from evidence_hpo.search.resume_points import resume_points, resume_source


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The resume points of the run `mine` after epochs 2 and 3, and a run folder beside them."""
    folder = tmp_path / "results/work/runs/mine"
    folder.mkdir(parents=True)
    for name in ("epoch_002.json", "epoch_002.safetensors", "epoch_003.json", "epoch_001.5.safetensors", "run.json"):
        (folder / name).touch()
    (tmp_path / "results/runs/mine").mkdir(parents=True)
    return folder


def test_a_run_names_its_newest_point_and_a_point_itself(tmp_path: Path, work: Path) -> None:
    assert resume_source(tmp_path / "results/runs/mine") == (work, None)
    assert resume_source(work) == (work, None)
    assert resume_source(work / "epoch_002.json") == (work, 2)
    assert resume_source(work / "epoch_003.optimizer.safetensors") == (work, 3)
    assert sorted(resume_points(work)) == [2, 3]


def test_a_run_without_points_is_refused(tmp_path: Path, work: Path) -> None:
    for path in (work / "epoch_001.json", tmp_path / "results/runs/other", tmp_path / "results"):
        with pytest.raises(DataError, match=f"{path}: no resume point is there"):
            resume_source(path)
