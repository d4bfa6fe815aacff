"""The profiles say what they claim, of rules that exist, and explain every entry."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "profiles"
RULES = {
    name: text
    for file in (ROOT / "rules").glob("*.smk")
    for name, text in re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", file.read_text(encoding="utf-8"), re.M | re.S)
}
TRAINING = {"train_model"} | {name for name, text in RULES.items() if "demands.training_memory(" in text}


def entries(profile: str) -> dict[str, Any]:
    """Return a profile's entries as Snakemake reads them, lists of `rule:resource=value` where it makes such."""
    with (PROFILES / profile / "config.yaml").open(encoding="utf-8") as stream:
        return dict(ProfileConfigFileParser().parse(stream))


def resources_of(profile: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for entry in entries(profile)["set-resources"]:
        rule, resource, value = re.fullmatch(r"(\w+):(\w+)=(.*)", entry).groups()
        found.setdefault(rule, {})[resource] = value
    return found


def test_the_rules_that_train_are_found() -> None:
    assert {"run_trials", "retrain_config", "retrain_chosen", "refit_chosen", "evaluate"} <= TRAINING


def test_default_leaves_a_tenth_of_the_memory() -> None:
    [memory] = entries("default")["resources"]
    megabytes = int(memory.removeprefix("mem_mb="))
    assert 0.89 < megabytes / (psutil.virtual_memory().total / 1e6) < 0.91


@pytest.mark.parametrize(("visible", "cards"), [(None, 3), ("0,2", 2), ("", 0)])
def test_a_workstation_starts_no_more_jobs_than_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, cards: int
) -> None:
    program = tmp_path / "nvidia-smi"
    lines = "\n".join(f"GPU {number}: Fake (UUID: GPU-{number:08d}-0000)" for number in range(3))
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert entries("gpu_workstation")["resources"] == [f"gpu={cards}"]
    assert resources_of("gpu_workstation") == {rule: {"gpu": "1"} for rule in TRAINING}


def test_slurm_gives_a_card_to_all_that_trains_and_only_to_rules_that_exist() -> None:
    asked = resources_of("slurm")
    assert set(asked) <= set(RULES)
    assert {rule for rule, resources in asked.items() if resources["gres"] == "gpu:1"} >= TRAINING
    groups = dict(entry.split("=") for entry in entries("slurm")["groups"])
    assert set(groups) <= set(RULES)
    assert not [rule for rule in groups if "localrule: True" in RULES[rule]]
    for group in set(groups.values()):
        members = [asked.get(rule, {}) for rule in groups if groups[rule] == group]
        assert all(member == members[0] for member in members), "Snakemake refuses a group that differs in these"


def test_what_is_submitted_is_what_trains_or_may_take_long() -> None:
    submitted = {name for name, text in RULES.items() if "localrule: True" not in text}
    assert submitted >= TRAINING | {"export_model"}
    assert not [name for name in submitted if name.startswith(("propose", "collect", "summarize", "plot", "choose"))]


@pytest.mark.parametrize("profile", sorted(path.name for path in PROFILES.iterdir()))
def test_every_entry_has_a_comment(profile: str) -> None:
    text = (PROFILES / profile / "config.yaml").read_text(encoding="utf-8")
    named = [key for key in yaml.safe_load(text) if not key.startswith("__")]
    assert named
    for key in named:
        assert re.search(rf"^# .*\n{re.escape(key)}:", text, re.M), f"{key}: no comment above it"
