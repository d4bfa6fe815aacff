"""The profiles say what they claim, of rules that exist, and explain every entry; Snakemake reads them as meant."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml
from snakemake.cli import parse_args
from snakemake.profiles import ProfileConfigFileParser

from evidence_hpo.profiles import is_profile_named

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "profiles"
RULES = {
    name: text
    for file in (ROOT / "rules").glob("*.smk")
    for name, text in re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", file.read_text(encoding="utf-8"), re.M | re.S)
}
TRAINING = {"train_model"} | {name for name, text in RULES.items() if re.search(r"demands\.\w+_memory\(", text)}


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


Read = Callable[..., Namespace]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return what Snakemake makes of a command line in this folder, all profiles read."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)

    def parsed(*arguments: str) -> Namespace:
        monkeypatch.setattr(sys, "argv", ["snakemake", *arguments])
        found: Namespace = parse_args(list(arguments))[1]
        found.limits = {name: resource.value for name, resource in found.resources.items()}
        return found

    return parsed


@pytest.fixture
def three_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    lines = "\n".join(f"GPU {number}: Fake (UUID: GPU-{number:08d}-0000)" for number in range(3))
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def is_nine_tenths_of_the_memory(megabytes: int) -> bool:
    return 0.89 < megabytes / (psutil.virtual_memory().total / 1e6) < 0.91


def test_alone_the_default_profile_limits_jobs_to_this_machine(read: Read) -> None:
    found = read()
    assert found.cores >= 1
    assert found.limits.keys() == {"mem_mb"}
    assert is_nine_tenths_of_the_memory(found.limits["mem_mb"])
    assert found.keep_going
    assert found.rerun_incomplete


def test_slurm_jobs_are_not_cut_to_the_submitting_machine(read: Read) -> None:
    found = read("--profile", "profiles/slurm")
    assert (found.cores, found.max_threads, found.limits) == (None, None, {})
    assert (found.executor, found.jobs) == ("slurm", 100)
    assert found.keep_going
    assert found.rerun_incomplete


def test_a_copy_of_a_profile_in_another_place_has_the_last_word(
    read: Read, three_cards: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "mine"
    copytree(PROFILES / "gpu_workstation", copy)
    file = copy / "config.yaml"
    changed = file.read_text(encoding="utf-8").replace("?count_cards()", "2")
    file.write_text(changed.replace("keep-going: true", "keep-going: false"), encoding="utf-8")
    found = read(f"--profile={copy}")
    assert found.limits["gpu"] == 2
    assert not found.keep_going
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(copy))
    assert read("--dry-run").limits["gpu"] == 2


@pytest.mark.parametrize(
    ("arguments", "variable", "named"),
    [
        ([], "", False),
        (["all", "--cores", "2"], "", False),
        (["--profile", "none"], "profiles/slurm", False),
        (["--cores", "2", "--prof", "x", "all"], "", True),
        (["--profile=x"], "none", True),
        (["--workflow-profile", "x"], "", False),
        ([], "x", True),
        ([], "none", False),
    ],
)
def test_a_profile_is_named_as_snakemake_reads_it(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], variable: str, named: bool
) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake", *arguments])
    monkeypatch.setenv("SNAKEMAKE_PROFILE", variable)
    assert is_profile_named() is named


@pytest.mark.parametrize(("visible", "cards"), [(None, 3), ("0,2", 2), ("", 0)])
def test_a_workstation_starts_no_more_jobs_than_cards(
    read: Read, three_cards: None, monkeypatch: pytest.MonkeyPatch, visible: str | None, cards: int
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = read("--profile", "profiles/gpu_workstation")
    assert found.limits["gpu"] == cards
    assert is_nine_tenths_of_the_memory(found.limits["mem_mb"])
    assert found.cores == read().cores
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
    content = yaml.safe_load(text)
    named = [key for key in content if not key.startswith(("__", "?"))]
    named += [key for condition in content if condition.startswith("?") for key in content[condition]]
    assert named
    for key in named:
        assert re.search(rf"^( *)# .*\n\1{re.escape(key)}:", text, re.M), f"{key}: no comment above it"


def test_signals_reach_every_step_and_not_a_shell_before_it() -> None:
    assert {name for name, text in RULES.items() if "\n    shell:\n" in text} == set(RULES)
    for name, text in RULES.items():
        assert re.search(r'^    shell:\n        "exec (env \w+=\w+ )?(python|\{params.python\}) -m ', text, re.M), name


def test_a_step_with_a_command_too_long_for_a_shell_gets_the_signal(tmp_path: Path) -> None:
    """Snakemake writes such a command to a script, whose shell would wait for its child and pass nothing on."""
    step = (
        "import os, signal, sys; signal.signal(15, lambda *_: (open('got', 'w'), sys.exit())); "
        "open('pid', 'w').write(str(os.getpid())); signal.pause()"
    )
    code = f"""
from snakemake.shell import shell
command = 'exec {{python}} -c {{step:q}} {{filling}}'
shell(command, python={sys.executable!r}, step={step!r}, filling='x ' * 40000, jobid=1)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.DEVNULL) as snakemake:
        started = psutil.Process(snakemake.pid)
        try:
            while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
                assert snakemake.poll() is None
                time.sleep(0.05)
            [child] = started.children()
            assert child.pid == int((tmp_path / "pid").read_text()), "Snakemake signals and measures this process"
            child.send_signal(signal.SIGTERM)
            snakemake.wait(20)
        finally:
            for process in [*started.children(recursive=True), started] if snakemake.poll() is None else []:
                process.kill()
    assert (tmp_path / "got").exists()


@pytest.mark.parametrize(("handed_over", "left", "submitted"), [(7, 0, [7]), (2, 5, []), (1, 2, []), (1, 0, [1])])
def test_the_plugin_forgets_jobs_of_an_array_that_are_handed_over_in_part(
    handed_over: int, left: int, submitted: list[int]
) -> None:
    """So arrays need `jobs: unlimited` and no `max-jobs-per-timespan`; if this fails, the plugin has been mended."""
    plugin: Any = importlib.import_module("snakemake_executor_plugin_slurm")
    sent: list[int] = []
    rule = SimpleNamespace(name="run_trials")
    job = SimpleNamespace(rule=rule, name="run_trials", is_group=lambda: False)
    silent: Any = defaultdict(lambda: lambda *_: None)
    executor = SimpleNamespace(
        _main_event_loop=None,
        array_jobs={"run_trials"},
        max_array_size=100,
        logger=SimpleNamespace(debug=silent["debug"], warning=silent["warning"]),
        workflow=SimpleNamespace(dag=SimpleNamespace(ready_jobs=[job] * left)),
        _submit_job=lambda _job: sent.append(1),
        _submit_array_jobs=lambda jobs: sent.append(len(jobs)),
    )
    plugin.Executor.run_jobs(executor, [job] * handed_over)
    assert sent == submitted
