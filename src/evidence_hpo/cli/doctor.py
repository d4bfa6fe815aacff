"""The command `doctor`: what this machine has, what the chosen study needs, what is missing and what to do."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from evidence_hpo.cli.probes import (
    Probe,
    State,
    pinned_versions,
    probe_cpu,
    probe_disk,
    probe_folder,
    probe_gpus,
    probe_memory,
    probe_packages,
    probe_slurm,
    probe_tools,
    required_packages,
)
from evidence_hpo.cli.studies import recorded_configuration
from evidence_hpo.cli.tables import OutputFormat, show_json, show_rows
from evidence_hpo.cli.tuning import preset_file
from evidence_hpo.cli.workflow import Overlays, Overrides, checked_configuration, workflow_folder
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.errors import ConfigurationError, EvidenceHpoError

__all__ = ["doctor", "machine_probes", "study_probes"]

_TITLES = {"name": "Looked at", "state": "State", "found": "Found", "remedy": "What to do"}

Preset = Annotated[str | None, typer.Option(help="Preset whose needs are looked at, as redsm5; default: none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def doctor(
    preset: Preset = None, configfile: Overlays = None, override: Overrides = None, as_json: AsJson = False
) -> None:
    """Look at this machine and at what a study needs, and say what is missing and what to do.

    The exit code is 0 if nothing that is needed is missing, else 1.

    Example: evidence-hpo doctor --preset redsm5
    """
    overlays = [*([preset_file(preset)] if preset else []), *(configfile or [])]
    root = Path.cwd()
    configuration = None
    probes: list[Probe] = []
    try:
        configuration = checked_configuration(overlays, override, root)
    except ConfigurationError as error:
        lines = str(error).splitlines()
        probes += [Probe("configuration", State.missing, line, "correct it; see docs/reference") for line in lines]
    probes += machine_probes(root, configuration)
    if configuration is not None:
        probes += study_probes(root, configuration)
    missing = sum(probe.state is State.missing for probe in probes)
    if as_json:
        show_json({"ready": missing == 0, "probes": [asdict(probe) for probe in probes]})
    else:
        show_rows([asdict(probe) for probe in probes], _TITLES, OutputFormat.table)
        typer.echo(f"{missing} missing" if missing else "nothing that is needed is missing", err=True)
    raise typer.Exit(1 if missing else 0)


def machine_probes(root: Path, configuration: Configuration | None) -> list[Probe]:
    """Return what is found on the machine."""
    import psutil

    packages = probe_packages(required_packages(), pinned_versions(workflow_folder() / "constraints.txt"))
    probes = [*packages, *probe_tools(), probe_folder(root), probe_memory(float(psutil.virtual_memory().available))]
    facts = _facts()
    if facts is not None:
        wanted = configuration is not None and configuration.training.runtime.device == "cuda"
        driver = Path("/dev/nvidiactl").exists()
        probes += [probe_cpu(facts, os.cpu_count()), *probe_gpus(facts, wanted=wanted, driver=driver)]
    return [*probes, probe_slurm()]


def _facts() -> dict[str, Any] | None:
    """Return what torch can compute on; None without torch, which the packages say already."""
    try:
        from evidence_hpo.training.machine import machine_facts
    except ImportError:
        return None
    return machine_facts()


def study_probes(root: Path, configuration: Configuration) -> list[Probe]:
    """Return what is found of a study's needs."""

    from evidence_hpo.cli.disk import disk_parts
    from evidence_hpo.cli.study_probes import Hub, probe_augmentation, probe_backbone, probe_corpus, probe_optimizers
    from evidence_hpo.graph import StudyGraph
    from evidence_hpo.workload import manifests

    study = StudyGraph(configuration)
    names = sorted({name for architecture in study.architectures for name in study.backbones(architecture)})
    concurrent = max(1, (os.cpu_count() or 1) // study.threads) * study.trials_per_gpu
    parts = disk_parts(configuration, root, manifests(configuration, root), concurrent)
    before, hub = _last_used(root), Hub().state
    corpus, encoders = (before.data.corpus, before.backbones) if before else (None, {})
    return [
        Probe("configuration", State.ok, f"study {configuration.study.name}: no problem found"),
        probe_corpus(configuration.data.corpus, root, hub, corpus),
        *(probe_backbone(name, configuration.backbones[name], root, hub, encoders.get(name)) for name in names),
        *probe_augmentation(configuration, root),
        *probe_optimizers(configuration),
        probe_disk(float(shutil.disk_usage(root).free), sum(part.size for part in parts)),
    ]


def _last_used(root: Path) -> Configuration | None:
    try:
        return recorded_configuration(root)
    except EvidenceHpoError:
        return None
