"""One cluster for all tests of this folder; in continuous integration it must be there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.cluster.slurm_cluster import SlurmCluster, missing


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """Return a running SLURM of three nodes; it ends with the session."""
    reason = missing()
    if reason is not None and os.environ.get("CI"):
        pytest.fail(f"no cluster in continuous integration: {reason}")
    if reason is not None:
        pytest.skip(reason)
    started = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    try:
        started.start()
        yield started
    finally:
        started.stop()
