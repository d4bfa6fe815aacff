"""How far a run is, from the study's log: a compact display that renews itself on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence_hpo.cli.results import found_stages, read_stage
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.errors import DataError
from evidence_hpo.graph import StudyGraph
from evidence_hpo.study_log import read_events

__all__ = ["ProgressView", "StageProgress", "StudyProgress", "clock"]

_RENEWALS_PER_SECOND = 2
_RETRAINING = {"retrain_config", "retrain_chosen", "refit_chosen"}
RETRAINING = "retraining"


@dataclass
class StageProgress:
    """Trials of a stage, or retrained models.

    Attributes:
        total: How many there are to be.
        cost: Work of one, in epochs over all training posts.
        states: Key of each finished one -> its state.
        best: Best value so far, and whose it is.
        fresh: Those that this run finished.
    """

    total: int
    cost: float
    states: dict[str, str] = field(default_factory=dict)
    best: tuple[float, str] | None = None
    fresh: int = 0

    def finish(self, key: str, state: str, value: float | None, label: str) -> None:
        """Note a finished one; pruned trials are never the best."""
        self.states[key] = state
        if state == "complete" and value is not None and (self.best is None or value > self.best[0]):
            self.best = (value, label)

    @property
    def done(self) -> int:
        """How many are finished."""
        return min(len(self.states), self.total)

    @property
    def failed(self) -> int:
        """How many failed."""
        return sum(state == "failed" for state in self.states.values())


class StudyProgress:
    """The stages of a study, kept up to date by the events of its log.

    Args:
        configuration: What is run.
        folder: Folder of the study, whose finished trials count from the start.
        last_stage: The stage with which the run ends; None: it goes on to the retrained models.
    """

    def __init__(self, configuration: Configuration, folder: Path, last_stage: str | None = None) -> None:
        study, retrain = StudyGraph(configuration), configuration.retrain
        self.stages: dict[tuple[str, str], StageProgress] = {}
        self.jobs = (0, 0)
        self.running: dict[int, str] = {}
        self.failed_jobs: list[str] = []
        self._started = time.monotonic()
        for architecture in study.architectures:
            stages = study.stages_of(architecture)
            for name, stage in stages.items():
                self.stages[architecture, name] = StageProgress(stage.trials, stage.epochs * stage.data_fraction)
                if name == last_stage:
                    break
            if last_stage is not None:
                continue
            models = retrain.top_k * retrain.seeds + retrain.final_seeds + retrain.refit_seeds
            epochs = retrain.epochs or stages[study.last_stage(architecture)].epochs
            self.stages[architecture, RETRAINING] = StageProgress(models, epochs)
        self._count_finished(folder)

    def _count_finished(self, folder: Path) -> None:
        for architecture, stages in found_stages(folder).items():
            for name in stages:
                counted = self.stages.get((architecture, name))
                if counted is None:
                    continue
                try:
                    trials = read_stage(folder, architecture, name).trials
                except DataError:  # the jobs say so themselves
                    continue
                for trial in trials:
                    counted.finish(trial["key"], trial["state"], trial["value"], f"trial {trial['number']}")

    def update(self, event: Mapping[str, Any]) -> str | None:
        """Take in an event; return a line for people where it is one that they must see."""
        kind = event["event"]
        if kind == "progress":
            self.jobs = (event["done"], event["total"])
        elif kind == "job_started":
            self.running[event["job"]] = _where(event)
        elif kind == "job_finished":
            self.running.pop(event["job"], None)
        elif kind == "job_failed":
            self.running.pop(event["job"], None)
            self.failed_jobs.append(_where(event))
            return f"failed: {_where(event)} ({event.get('error') or 'killed'}); see {event['log']}"
        elif kind == "trial_finished":
            self._trial_finished(event)
        return None

    def _trial_finished(self, event: Mapping[str, Any]) -> None:
        name = RETRAINING if event["rule"] in _RETRAINING else event.get("stage")
        counted = self.stages.get((str(event.get("architecture")), str(name)))
        if counted is not None and event.get("key"):
            counted.fresh += event["key"] not in counted.states
            counted.finish(event["key"], event["state"], event["value"], str(event["label"]).split(" ", 1)[-1])

    def seconds_left(self) -> float | None:
        """Return about how long the rest takes, from the work that this run did so far; None before its first trial."""
        fresh = sum(stage.fresh * stage.cost for stage in self.stages.values())
        left = sum((stage.total - stage.done) * stage.cost for stage in self.stages.values())
        return (time.monotonic() - self._started) * left / fresh if fresh else None


def _where(event: Mapping[str, Any]) -> str:
    parts = [str(event[key]) for key in ("architecture", "stage") if event.get(key)]
    numbers = [f"{key} {event[key]}" for key in ("round", "shard", "rank", "seed") if event.get(key) is not None]
    return " ".join([event["rule"], "/".join(parts), *numbers]).replace("  ", " ").strip()


def clock(seconds: float) -> str:
    """Return a duration as 1:02:03, or 2 d 3:04:05."""
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    return (f"{days} d " if days else "") + f"{hours}:{rest // 60:02}:{rest % 60:02}"


class ProgressView:
    """The display on standard error while a run goes on; it reads the study's log and nothing else."""

    def __init__(self, progress: StudyProgress, log: Path, offset: int, console: Any = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self.progress = progress
        self._log, self._offset = log, offset
        self._console = console or Console(stderr=True)
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._live = Live(get_renderable=self.render, console=self._console, refresh_per_second=_RENEWALS_PER_SECOND)

    def __enter__(self) -> ProgressView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.refresh()
        self._live.stop()

    def say(self, line: str) -> None:
        """Print a line above the display."""
        self._console.print(line, markup=False, highlight=False)

    def render(self) -> Any:
        """Return the display after the events that are new."""
        with self._lock:
            events, self._offset = read_events(self._log, self._offset)
            lines = [line for event in events if (line := self.progress.update(event))]
        for line in lines:
            self.say(line)
        return self._table()

    def _table(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for (architecture, name), stage in self.progress.stages.items():
            best = f"best {stage.best[0]:.4f} ({stage.best[1]})" if stage.best else ""
            table.add_row(
                f"{architecture}, {name}",
                ProgressBar(total=stage.total, completed=stage.done, width=24),
                f"{stage.done}/{stage.total}",
                best,
                Text(f"{stage.failed} failed" if stage.failed else "", style="red"),
            )
        return Group(table, Text(self._footer(), style="dim"))

    def _footer(self) -> str:
        progress = self.progress
        left = progress.seconds_left()
        parts = [
            f"jobs {progress.jobs[0]}/{progress.jobs[1]}" if progress.jobs[1] else "planning the jobs",
            f"{clock(time.monotonic() - self._begun)} so far",
            f"about {clock(left)} left" if left is not None else "",
            ", ".join(list(progress.running.values())[:3]),
        ]
        return " · ".join(part for part in parts if part)
