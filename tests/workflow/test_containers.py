"""Jobs in containers: every job is started in the image, with the interpreter there and the code of the checkout.

There is no container engine where these tests run. A stand-in for `apptainer` does what `apptainer exec` does to a
command: it starts it with the image's PATH, here a folder with an interpreter of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.workflow.study import TINY, make_study

pytestmark = pytest.mark.workflow

STAND_IN = """#!{python}
import json, os, sys
if "--version" in sys.argv:
    print("apptainer version 1.4.0")
    sys.exit()
options, shell = sys.argv[1:-3], sys.argv[-3:]
with open({calls!r}, "a") as file:
    file.write(json.dumps(options) + "\\n")
os.environ["PATH"] = {inside!r} + ":/usr/bin:/bin"
os.execvp(shell[0], shell)
"""


@pytest.mark.parametrize("named", [False, True])
def test_each_job_runs_in_the_image(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside, calls = tmp_path / "inside", tmp_path / "outside", tmp_path / "calls.jsonl"
    for folder in (inside, outside):
        folder.mkdir()
    used = tmp_path / "used.txt"
    (inside / "python").write_text(f'#!/bin/sh\necho "$2" >> {used}\nexec {sys.executable} "$@"\n', encoding="utf-8")
    source = STAND_IN.format(python=sys.executable, calls=str(calls), inside=str(inside))
    (outside / "apptainer").write_text(source, encoding="utf-8")
    for program in (inside / "python", outside / "apptainer"):
        program.chmod(0o755)
    study = make_study(tmp_path, TINY)
    image = tmp_path / "other.sif" if named else study.repository / "docker/evidence-hpo.sif"
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(b"")
    if named:
        monkeypatch.setenv("EVIDENCE_HPO_IMAGE", str(image))
    monkeypatch.setenv("PATH", f"{outside}:/usr/bin:/bin")
    study.run("--cores", "1", "--sdm", "apptainer", "--apptainer-args=--nv", "results/splits/splits.json")
    started = [json.loads(line) for line in calls.read_text(encoding="utf-8").splitlines()]
    steps = [f"evidence_hpo.steps.{name}" for name in ("prepare_corpus", "split_corpus")]
    assert used.read_text(encoding="utf-8").split() == steps, "the interpreter is the image's"
    assert len(started) == len(steps)
    for options in started:
        assert "exec" in options
        assert str(image) in options
        assert "--nv" in options
        assert str(study.folder) in options
    assert (study.folder / "results/splits/splits.json").exists()
