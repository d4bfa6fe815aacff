"""Step `summarize_retraining`: what was retrained, over all architectures."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.search.choosing import Chosen, summarize
from evidence_hpo.search.retrain_records import RetrainRecord
from evidence_hpo.step import run_step


def summarize_retraining(
    chosen: list[Path], records: list[Path], final: list[Path], refit: list[Path], output: Path
) -> None:
    """Write the means, standard deviations and checkpoints of all retrained configurations.

    Args:
        chosen: ``chosen.json`` of each architecture.
        records: Records of all ranks and seeds of all architectures.
        final: Records of the chosen configurations' fresh seeds.
        refit: Records of their refits.
        output: ``retrain_summary.json``.
    """
    runs = (records, final, refit)
    content = summarize(
        [Chosen.model_validate(read_artefact(path, "chosen")) for path in chosen],
        *([RetrainRecord.model_validate(read_artefact(path, "retrain_record")) for path in paths] for paths in runs),
    )
    write_artefact(output, "retrain_summary", content)
    for architecture, one in content["architectures"].items():
        log_event("retrained", f"{architecture}: {one['objective']} {one['score_mean']:.4f}", adjusted=one["adjusted"])


if __name__ == "__main__":
    run_step(summarize_retraining)
