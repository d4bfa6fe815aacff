"""The generated files agree with the typed configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.generate import render_all
from evidence_hpo.config.loading import load_configuration, merge, read_yaml

ROOT = Path(__file__).resolve().parents[3]
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


@pytest.mark.parametrize("path", list(render_all()), ids=str)
def test_generated_file_is_current(path: Path) -> None:
    written = (ROOT / path).read_text(encoding="utf-8")
    assert written == render_all()[path], f"{path} is out of date: run `make generate`"


def test_default_file_holds_the_default_configuration() -> None:
    assert load_configuration(read_yaml(ROOT / "workflow_config.yaml")) == default_configuration()


def test_every_key_of_the_default_file_is_commented() -> None:
    lines = (ROOT / "workflow_config.yaml").read_text(encoding="utf-8").splitlines()
    # Names that the user chooses (backbones, spaces and their parameters) explain themselves.
    free = {"small:", "sample:"}
    for number, line in enumerate(lines):
        text = line.strip().removeprefix("- ")
        is_key = text and not text.startswith("#") and ":" in text and "{low" not in text and "{choices" not in text
        if is_key and text not in free and not line.strip().startswith("- "):
            assert lines[number - 1].strip().startswith("#"), f"line {number + 1} has no comment: {text}"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_is_a_valid_overlay_that_only_states_what_differs(preset: Path) -> None:
    base = read_yaml(ROOT / "workflow_config.yaml")
    overlay = read_yaml(preset)
    configuration = load_configuration(merge(base, overlay))
    assert configuration != default_configuration()
    for key, value in _leaves(overlay):
        assert _get(base, key) != value, f"{preset.name}: {'.'.join(key)} repeats the default"


def test_presets_exist() -> None:
    assert PRESETS


def _leaves(value: object, prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*prefix, str(key)))]
    return [(prefix, value)]


def _get(value: object, key: tuple[str, ...]) -> object:
    for part in key:
        if not isinstance(value, dict) or part not in value:
            return "(not there)"
        value = value[part]
    return value


def test_conda_environments_have_the_pins_of_the_lock_file() -> None:
    lock = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if "==" in line and not line.startswith("#"):
            name, version = line.split("==")
            lock[name.lower()] = version
    checked = 0
    others = set((ROOT / "envs").glob("*.yaml")) - {ROOT / "envs" / "textattack.yaml"}  # it has a lock file of its own
    for path in sorted(others):
        packages = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
        pins = next(item["pip"] for item in packages if isinstance(item, dict))
        for pin in pins:
            name, version = pin.split("==")
            assert lock[name.lower()] == version, f"{path.name}: {pin}, but the lock file has {lock[name.lower()]}"
            checked += 1
    assert checked > 10
