"""Draw the job graph of this configuration."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.dag import by_rule, by_stage, draw_graph, fold_graph, read_job_graph
from evidence_hpo.errors import TrainingError
from evidence_hpo.files import canonical_json
from evidence_hpo.graph import StudyGraph
from evidence_hpo.step import run_step


def draw_dag(settings: Configuration, snakefile: Path, rulegraph: Path, dag: Path) -> None:
    """Ask Snakemake for the job graph of the configuration and draw it, by rule and by stage."""
    graph = read_job_graph(_job_graph(settings, snakefile))
    draw_graph(fold_graph(graph, by_rule(graph)), rulegraph, "Rules and what they depend on")
    draw_graph(
        fold_graph(graph, by_stage(graph, StudyGraph(settings).stage_names)),
        dag,
        "Jobs, folded by architecture and stage",
    )


def _job_graph(settings: Configuration, snakefile: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "configuration.json"
        configuration.write_text(canonical_json(settings.model_dump(mode="json")), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)]
        command += ["--configfile", str(configuration), "--forceall", "--dag", "dot"]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        last = (finished.stderr.strip() or "no message").splitlines()[-1]
        raise TrainingError(f"the job graph could not be made: {last}")
    return finished.stdout


if __name__ == "__main__":
    run_step(draw_dag)
