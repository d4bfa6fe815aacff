"""Step `choose_config`: the configuration with the best mean over its seeds."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.search.choosing import choose
from evidence_hpo.search.retrain_records import RetrainRecord
from evidence_hpo.search.selection import Selected
from evidence_hpo.step import run_step


def choose_config(selected: Path, records: list[Path], output: Path) -> None:
    """Write which configuration wins, with all means and standard deviations.

    Args:
        selected: ``selected.json``.
        records: Records of all ranks and seeds.
        output: ``chosen.json``.
    """
    plan = Selected.model_validate(read_artefact(selected, "selected"))
    chosen = choose(plan, [RetrainRecord.model_validate(read_artefact(path, "retrain_record")) for path in records])
    write_artefact(output, "chosen", chosen.model_dump(mode="json"))
    mean = next(score.mean for score in chosen.configurations if score.rank == chosen.chosen_rank)
    log_event(
        "chosen",
        f"{chosen.architecture}: rank {chosen.chosen_rank} with a mean {chosen.objective} of {mean:.4f}",
        rank=chosen.chosen_rank,
        mean=mean,
    )


if __name__ == "__main__":
    run_step(choose_config)
