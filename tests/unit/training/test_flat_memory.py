"""A shard runs hundreds of trials in one process: its memory must not grow with them."""

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
TRIALS = 200
WARM_UP = 40
MEGABYTE = 2**20

# A process of its own: what the other tests left in this one comes and goes by megabytes.
SCRIPT = """
import gc, json, sys
from pathlib import Path

import psutil

sys.path.insert(0, sys.argv[1])
from evidence_hpo.training.run import run
from tests.unit.training.conftest import make_inputs, small_spec

inputs, resident = make_inputs(Path("data")), []
for number in range(int(sys.argv[2])):
    architecture = ("criteria", "evidence", "share", "joint")[number % 4]
    values = {"batch_size": (8, 16)[number % 2], "head_layers": number % 3, "max_length": (24, 32, 40)[number % 3]}
    spec = small_spec(architecture, values, epochs=1, seed=number, data_fraction=0.5)
    assert run(spec, inputs["tiny"], Path("work"), report=lambda _: None).state == "complete"
    gc.collect()
    resident.append(psutil.Process().memory_info().rss)
Path("resident.json").write_text(json.dumps(resident))
"""


def test_memory_stays_flat_over_two_hundred_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(REPOSITORY), str(TRIALS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    resident = json.loads((tmp_path / "resident.json").read_text())
    assert len(resident) == TRIALS
    # One leaked copy of this model would be 100 kB a trial, 16 MB by the end.
    assert max(resident[WARM_UP:]) - max(resident[:WARM_UP]) < 8 * MEGABYTE
