"""A shard runs hundreds of trials in one process: its memory must not grow with them."""

import gc
from collections.abc import Callable
from pathlib import Path

import psutil

from evidence_hpo.training.run import RunInputs, RunSpec, run

TRIALS = 200
WARM_UP = 40
MEGABYTE = 2**20


def test_memory_stays_flat_over_two_hundred_runs(
    tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Callable[..., RunSpec]
) -> None:
    process = psutil.Process()
    resident = []
    for number in range(TRIALS):
        architecture = ("criteria", "evidence", "share", "joint")[number % 4]
        values = {"batch_size": (8, 16)[number % 2], "head_layers": number % 3, "max_length": (24, 32, 40)[number % 3]}
        spec = make_spec(architecture, values, epochs=1, seed=number, data_fraction=0.5)
        result = run(spec, inputs["tiny"], tmp_path / "work", report=lambda _: None)
        assert result.state == "complete"
        gc.collect()
        resident.append(process.memory_info().rss)
    settled = max(resident[:WARM_UP])
    # One leaked copy of this model would be 100 kB a trial, 16 MB by the end.
    assert max(resident[WARM_UP:]) - settled < 8 * MEGABYTE
