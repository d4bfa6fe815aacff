"""A job's record: from the start of the process, not from the end of its imports."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

from evidence_hpo.files import read_json, write_json
from evidence_hpo.step import run_step

PROGRAM = """
import time
time.sleep(0.5)  # stands for slow imports
import json
from evidence_hpo.job_record import JobMeter
print(json.dumps(JobMeter().record()))
"""


def test_time_before_the_imports_counts() -> None:
    before = time.time()
    finished = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    took, record = time.time() - before, json.loads(finished.stdout)
    assert 0.5 <= record["seconds"] <= took + 0.02
    started = datetime.datetime.fromisoformat(record["started_at"]).timestamp()
    assert before - 0.02 <= started <= before + 0.5


def test_every_step_leaves_its_job_record_in_the_provenance(tmp_path: Path) -> None:
    def good(*, output: Path) -> None:
        write_json(output, {})

    run_step(good, ["--output", str(tmp_path / "a.json"), "--log", str(tmp_path / "logs" / "good.log")])
    job = read_json(tmp_path / "provenance" / "good.json")["job"]
    assert set(job) == {"started_at", "seconds", "cpu_seconds", "host", "slurm_job", "energy_joules"}
    assert job["host"]
    assert job["cpu_seconds"] > 0
