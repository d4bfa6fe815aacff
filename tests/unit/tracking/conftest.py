"""An empty store of MLflow, made once: its tables take seconds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.tracking.tracked_files import write_study

from evidence_hpo import paths
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.tracking.store import Store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite file with MLflow's tables and no experiment of ours."""
    root = tmp_path_factory.mktemp("store")
    settings = TrackingSettings(uri=f"sqlite:///{root}/empty.db", experiment="unused")
    assert Store(settings, root, "none").experiment
    return root / "empty.db"


@pytest.fixture
def study(tmp_path: Path, empty_store: Path) -> Callable[..., Path]:
    """Return a function that writes a finished study beside an empty store and returns its folder."""

    def make(trials: int = 4, epochs: int = 2, name: str = "study") -> Path:
        root = tmp_path / name
        write_study(root, trials, epochs)
        shutil.copyfile(empty_store, root / paths.TRACKING_DATABASE)
        return root

    return make
