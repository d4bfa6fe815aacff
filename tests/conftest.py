"""A tiny study, run once and shared by the tests that only look at it."""

from __future__ import annotations

import pytest
from tests.workflow.study import TINY, Study, make_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a finished tiny study of one architecture: one shard, one job at a time."""
    study = make_study(tmp_path_factory.mktemp("finished"), TINY)
    study.run("--cores", "1")
    return study
