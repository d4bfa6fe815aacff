"""The environment of TextAttack: its pins, and that it is made once, whole or anew."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from evidence_hpo.augmentation import environment
from evidence_hpo.augmentation.environment import build_environment, environment_folder, interpreter_of
from evidence_hpo.errors import ConfigurationError, DataError

ROOT = Path(__file__).resolve().parents[3]
PINS = ROOT / "envs" / "textattack.txt"


def pins() -> list[str]:
    lines = PINS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_every_requirement_is_an_exact_pin() -> None:
    assert all(len(line.split("==")) == 2 and "+" not in line and "@" not in line for line in pins())
    assert {"torch==2.13.0", "textattack==0.3.11", "transformers==4.57.6"} < set(pins())


def test_the_conda_environment_has_the_same_pins() -> None:
    packages = yaml.safe_load((ROOT / "envs" / "textattack.yaml").read_text(encoding="utf-8"))["dependencies"]
    assert next(item["pip"] for item in packages if isinstance(item, dict)) == pins()


def test_the_folder_depends_on_the_content_of_the_requirements(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("wheel==0.45.1\n")
    second.write_text("wheel==0.45.1\n")
    assert environment_folder(first) == environment_folder(second)
    second.write_text("wheel==0.45.0\n")
    assert environment_folder(first) != environment_folder(second)
    assert environment_folder(first).parent == Path("results/work/environments")
    with pytest.raises(DataError, match=r"missing\.txt: no such file"):
        environment_folder(tmp_path / "missing.txt")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands that would install; an interpreter and one package appear."""
    ran: list[list[str]] = []

    def pretend(command: list[str], what: str) -> None:
        ran.append(command)
        if command[2] == "venv":
            folder = Path(command[3])
            (folder / "bin").mkdir(parents=True)
            interpreter_of(folder).symlink_to(sys.executable)
            package = folder / "lib" / "python3" / "site-packages" / "textattack-0.3.11.dist-info"
            package.mkdir(parents=True)
            (package / "METADATA").write_text("Metadata-Version: 2.1\nName: TextAttack\nVersion: 0.3.11\n")

    monkeypatch.setattr(environment, "_run", pretend)
    return ran


def test_it_is_made_once_torch_first_and_anew_where_a_build_was_killed(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    requirements = tmp_path / "pins.txt"
    requirements.write_text("# why\nnumpy==2.4.6\ntorch==2.13.0\n")
    folder = tmp_path / "environments" / "one"
    described = build_environment(requirements, folder)
    assert [command[-1] for command in commands] == [str(folder), "torch==2.13.0", str(requirements)]
    assert described["interpreter"] == f"{folder}/bin/python"
    assert described["versions"] == {"textattack": "0.3.11"}
    assert described["python"] == ".".join(map(str, sys.version_info[:3]))
    assert build_environment(requirements, folder) == described
    assert len(commands) == 3
    (folder / "complete.json").unlink()
    (folder / "left_behind").touch()
    assert build_environment(requirements, folder) == described
    assert len(commands) == 6
    assert not (folder / "left_behind").exists()


def test_what_cannot_be_installed_is_one_line(tmp_path: Path) -> None:
    requirements = tmp_path / "pins.txt"
    requirements.write_text(f"nothing @ file://{tmp_path}/nothing-1-py3-none-any.whl\n")
    with pytest.raises(
        ConfigurationError, match=r"TextAttack's environment: pins\.txt could not be installed \("
    ) as caught:
        build_environment(requirements, tmp_path / "environments" / "one")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "environments" / "one" / "complete.json").exists()
