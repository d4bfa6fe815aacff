"""The page of the commands: its options are those of the program, and every command of the documents is on it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.main import get_command

from evidence_hpo.cli.main import app
from evidence_hpo.cli.reference import PAGE, renewed
from evidence_hpo.cli.workflow import workflow_folder
from evidence_hpo.errors import DataError

PAGE_TEXT = (workflow_folder() / PAGE).read_text(encoding="utf-8")
COMMANDS = sorted(get_command(app).commands)

DOCUMENTED = [
    *("dataaug train", "dataaug tune", "make hpo-best", "make retrain-best", "summarize-study", "mlflow ui"),
    *("make doctor", "make lint", "hpo stage1", "hpo stage2", "make hpo-report", "export_best.py"),
    *("cli.train", "cli.hpo", "cli.evaluate_study", "--resume-from", "--resume-study", "cli.cleanup"),
    *("cli.list_studies", "cli.list_checkpoints", "scripts/train.py", "scripts/hpo.py", "scripts/reproduce.py"),
    *("make hpo-s0", "make full-hpo", "make tune-criteria-max", "maximal-hpo-all", "run_all_hpo.py", "show-best"),
    "make groundtruth",
]
"""What the requirement documents call their programs and targets."""


def test_the_options_on_the_page_are_those_of_the_program() -> None:
    assert renewed(PAGE_TEXT, app) == PAGE_TEXT, "run `make generate`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_section_and_an_example(name: str) -> None:
    section = PAGE_TEXT.split(f"\n### {name}\n")[1].split("\n### ")[0]
    assert f"```bash\nevidence-hpo {name}" in section


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_command_of_the_documents_is_in_the_table(name: str) -> None:
    table = PAGE_TEXT.split("## Coming from an earlier program")[1]
    assert name in table


def test_what_the_table_sends_people_to_is_there() -> None:
    """Commands that other parts of the project add are on the page before they are in the program."""
    table = PAGE_TEXT.split("## Coming from an earlier program")[1]
    named = set(re.findall(r"evidence-hpo ([a-z-]+)", table))
    assert named - set(COMMANDS) <= {"train", "reproduce", "track"}
    makefiles = [workflow_folder() / "Makefile", *(workflow_folder() / "makefiles").glob("*.mk")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in makefiles)
    for target in set(re.findall(r"`make ([a-z0-9-]+)", table)):
        assert re.search(rf"^[a-z0-9 -]*\b{re.escape(target)}\b[a-z0-9 -]*:", text, re.MULTILINE), target


def test_a_page_without_its_place_is_refused() -> None:
    with pytest.raises(DataError, match="put back its two marks"):
        renewed("# Commands\n", app)


def test_completion_is_offered() -> None:
    program = [sys.executable, "-m", "evidence_hpo.cli.main", "--show-completion", "bash"]
    shown = subprocess.run(program, capture_output=True, text=True, check=False)
    assert "complete" in shown.stdout
