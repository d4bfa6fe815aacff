"""Step `report_cost`: what the study took, of which part, on which worker."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.logs import log_event
from evidence_hpo.reports.cost_plot import cost_figure
from evidence_hpo.reports.costs import Spent, cost_report, expected_jobs, retraining_spent, stage_spent
from evidence_hpo.reports.jobs import RETRAINING, Phase, jobs_of, read_jobs
from evidence_hpo.reports.membership import study_jobs
from evidence_hpo.reports.timeline import timeline_figure
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.step import run_step


def report_cost(
    *,
    summaries: list[Path],
    records: list[Path],
    retraining: Path,
    provenance: Path,
    cost: Path,
    timeline: Path,
    costs: Path,
) -> None:
    """Write what the finished jobs took, and draw it.

    Args:
        summaries: ``summary.json`` of all stages of all architectures, the stages of an architecture in order.
        records: ``record.json`` of all retrained models.
        retraining: ``retrain_summary.json``.
        provenance: Folder of the provenance.
        cost: ``cost.json`` to write.
        timeline: SVG to write: the jobs over time.
        costs: SVG to write: hours, epochs and energy.
    """
    stages = [read_artefact(path, "stage_summary") for path in summaries]
    models = [read_artefact(path, "retrain_record") for path in records]
    retrained = read_artefact(retraining, "retrain_summary")
    spent: dict[Phase, Spent] = {}
    for architecture in dict.fromkeys(stage["architecture"] for stage in stages):
        own = [stage for stage in stages if stage["architecture"] == architecture]
        spent |= {(architecture, stage["stage"]): stage_spent(stage) for stage in own}
        spent[architecture, RETRAINING] = retraining_spent(
            model for model in models if model["architecture"] == architecture
        )
    known = read_jobs(provenance)
    wanted = study_jobs(known, expected_jobs(stages, retrained["architectures"]))
    jobs = jobs_of(known, wanted)
    if not jobs:
        raise DataError(f"{provenance}: no job says when it ran; it is of an earlier version, run the study again")
    untimed = sum("job" not in known[name] for name in wanted)
    content = cost_report(retrained["study"], jobs, spent, untimed)
    write_artefact(cost, "cost", content)
    write_svg(timeline_figure(jobs), timeline)
    write_svg(cost_figure(content), costs)
    log_event("reported", f"{content['jobs']} jobs, {content['wall_seconds']:.0f} s")


if __name__ == "__main__":
    run_step(report_cost)
