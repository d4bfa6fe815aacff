"""Snakemake's logger plugin `evidence-hpo`: tells the study's log of the jobs. It is found by its module's name."""

from __future__ import annotations

from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from evidence_hpo import paths
from evidence_hpo.study_log import StudyLog

__all__ = ["LogHandler"]


class LogHandler(LogHandlerBase):
    """Passes Snakemake's events on; Snakemake writes its own messages as without it."""

    writes_to_stream = False
    writes_to_file = False  # to none of those that Snakemake lists among its own logs
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._log = None if self.common_settings.dryrun else StudyLog(Path(paths.STUDY_LOG))

    def emit(self, record: LogRecord) -> None:
        """Pass an event on; a fault here must not reach the run."""
        if self._log is None:
            return
        try:
            _pass_on(self._log, getattr(record, "event", None), record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """End with the run."""
        if self._log is not None:
            self._log.close()
            self._log = None
        super().close()


def _pass_on(log: StudyLog, event: Any, record: Any) -> None:
    if event == LogEvent.JOB_INFO and record.log:
        log.job_started(record.jobid, record.rule_name, dict(record.wildcards or {}), Path(record.log[0]))
    elif event == LogEvent.JOB_FINISHED:
        log.job_finished(record.job_id)
    elif event == LogEvent.JOB_ERROR:
        log.job_failed(record.jobid)
    elif event == LogEvent.PROGRESS:
        log.progress(record.done, record.total)
