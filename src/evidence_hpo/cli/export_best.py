"""The command `export-best`: the chosen configuration as an overlay for another study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from evidence_hpo import paths
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.files import write_json, write_text
from evidence_hpo.schemas import read_artefact, read_artefact_lines

__all__ = ["SUMMARY", "export_best"]

SUMMARY = "export_summary.json"

Architecture = Annotated[str | None, typer.Option(help="Architecture; needed where the study has several.")]
Output = Annotated[Path, typer.Option(help=f"Overlay to write; {SUMMARY} is written beside it.")]


def export_best(architecture: Architecture = None, output: Output = Path("best_config.yaml")) -> None:
    """Write the chosen configuration as an overlay that --configfile accepts, and its scores beside it.

    The overlay states `training.parameters`; an encoder that is not in the default configuration needs the overlay of
    its own study before it.

    Example: evidence-hpo export-best --architecture criteria --output best_config.yaml
    """
    root = Path.cwd()
    summary = read_artefact(root / paths.RETRAIN_SUMMARY, "retrain_summary")
    name = _architecture(summary["architectures"], architecture)
    found = summary["architectures"][name]
    chosen = next(one for one in found["configurations"] if one["rank"] == found["chosen_rank"])
    scores = _summary(root, summary["study"], name, chosen["origin"], found)
    write_text(output, _overlay(summary["study"], name, chosen["origin"], found))
    write_json(output.with_name(SUMMARY), scores)
    typer.echo(f"{output}: written; its scores are in {output.with_name(SUMMARY)}", err=True)


def _architecture(known: dict[str, Any], wanted: str | None) -> str:
    if wanted is None and len(known) > 1:
        raise ConfigurationError(f"--architecture: name one of {', '.join(sorted(known))}")
    name = wanted or next(iter(known))
    if name not in known:
        raise DataError(
            f"--architecture {name}: is not in {paths.RETRAIN_SUMMARY}; there are {', '.join(sorted(known))}"
        )
    return name


def _overlay(study: str, architecture: str, origin: dict[str, Any], found: dict[str, Any]) -> str:
    spread = "" if found["score_std"] is None else f", sd {found['score_std']:.4f}"
    lines = [
        f"# The chosen configuration of {architecture} in the study {study}: trial {origin['number']} of "
        f"{origin['stage']}.",
        f"# Validation {found['objective']} over fresh seeds: mean {found['score_mean']:.4f}{spread}, after at most "
        f"{found['epochs']} epochs.",
        "",
    ]
    content = {"training": {"parameters": found["parameters"]}}
    return "\n".join(lines) + yaml.safe_dump(content, sort_keys=True, allow_unicode=True)


def _summary(
    root: Path, study: str, architecture: str, origin: dict[str, Any], found: dict[str, Any]
) -> dict[str, Any]:
    from evidence_hpo.evaluation.summary import trial_id

    records = root / paths.TRIALS.format(architecture=architecture, stage=origin["stage"])
    trial = next((one for one in read_artefact_lines(records, "trial") if one["number"] == origin["number"]), None)
    if trial is None:
        raise DataError(f"{records}: has no trial {origin['number']}, which {paths.RETRAIN_SUMMARY} names; run again")
    return {
        "study": study,
        "architecture": architecture,
        "trial_id": trial_id(trial),
        "stage": origin["stage"],
        "trial_number": origin["number"],
        "objective": found["objective"],
        "score_mean": found["score_mean"],
        "score_std": found["score_std"],
        "adjusted": found["adjusted"],
        "seeds": [{key: one[key] for key in ("seed", "state", "value")} for one in found["final"]["seeds"]],
    }
