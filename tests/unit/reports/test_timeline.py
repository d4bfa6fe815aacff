"""The timeline: workers never run two jobs at once, and ten thousand trials stay a figure that a person can read."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from reports_toys import job

from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.reports.costs import busiest
from evidence_hpo.reports.jobs import Job
from evidence_hpo.reports.timeline import MOST_ROWS, lanes, timeline_figure


def many(count: int, workers: int, hosts: int) -> list[Job]:
    """A busy cluster: each worker runs one job after another."""
    chosen, free, jobs = random.Random(3), [0.0] * workers, []
    for number in range(count):
        worker = min(range(workers), key=free.__getitem__)
        start = free[worker] + chosen.uniform(0, 20)
        free[worker] = start + chosen.expovariate(1 / 300)
        name = f"criteria/stage{1 + (number > count / 2)}/round_{number // 100}/shard_{number % 100}"
        host = f"node{worker % hosts:03d}"
        jobs.append(job(name, start, free[worker], host=host, ready=max(0.0, start - 30)))
    return sorted(jobs, key=lambda one: (one.started, one.name))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.sampled_from("xy")), min_size=1, max_size=25))
def test_a_worker_runs_one_job_at_a_time_and_there_are_no_more_than_needed(spans: list[tuple[int, int, str]]) -> None:
    jobs = [job(f"j{number}", start, start + long, host=host) for number, (start, long, host) in enumerate(spans)]
    jobs.sort(key=lambda one: (one.started, one.name))
    dealt = lanes(jobs)
    assert sorted(one.name for _, of_lane in dealt for one in of_lane) == sorted(one.name for one in jobs)
    for host, of_lane in dealt:
        assert {one.host for one in of_lane} == {host}
        assert all(before.finished <= after.started for before, after in itertools.pairwise(of_lane))
    for host in "xy":
        assert sum(name == host for name, _ in dealt) == busiest([one for one in jobs if one.host == host])


def titles(figure: Figure) -> str:
    return " ".join(axes.get_title() for axes in figure.axes)


def test_few_jobs_are_drawn_one_by_one() -> None:
    jobs = many(60, 3, 1)
    figure = timeline_figure(jobs)
    assert "60 jobs of 3 workers" in titles(figure)
    assert len(figure.axes[0].collections) == 60


def test_ten_thousand_trials_on_three_hundred_workers_stay_readable(tmp_path: Path) -> None:
    figure = timeline_figure(many(10_000, 300, 75))
    assert "10,000 jobs of 300 workers" in titles(figure)
    rows = {round(tick) for tick in figure.axes[0].get_yticks()}
    assert max(rows) < MOST_ROWS
    assert figure.get_size_inches()[1] < 12
    write_svg(figure, tmp_path / "timeline.svg")
    assert (tmp_path / "timeline.svg").stat().st_size < 2_000_000


def test_a_break_is_marked_and_takes_no_room() -> None:
    jobs = [job("a", 0, 600), job("b", 90_000, 90_600, ready=600)]
    figure = timeline_figure(jobs)
    assert [text.get_text() for text in figure.axes[0].texts] == ["break of 24.8 hours"]
    assert figure.axes[1].get_xlim()[1] * 60 == 1200


def test_equal_jobs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        write_svg(timeline_figure(many(700, 4, 2)), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
