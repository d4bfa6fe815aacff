"""The drawn job graph stays readable, whatever the number of trials, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import networkx
import pytest

from evidence_hpo.dag import _positions, by_rule, by_stage, draw_graph, fold_graph, least_bend, passed
from evidence_hpo.dag import read_job_graph as read
from evidence_hpo.svg_theme import DARK, themed

STAGES = ("stage1", "stage2")


def dot(rounds: int, shards: int) -> str:
    """The graph of a search in two stages as Snakemake prints it: a wildcard is named where it is new."""
    nodes = ['0[label = "prepare_corpus"];']
    edges: list[str] = []

    def add(label: str, *after: int) -> int:
        number = len(nodes)
        nodes.append(f'{number}[label = "{label}"];')
        edges.extend(f"{other} -> {number}" for other in after)
        return number

    ends = []
    for architecture in ("criteria", "evidence"):
        before = add(f"define_space\\narchitecture: {architecture}\\nstage: stage1")
        for stage in STAGES:
            label = f"architecture: {architecture}\\nstage: {stage}"
            ready = before
            if stage == "stage2":
                ready = add(f"narrow_space\\n{label}", before)
            done: list[int] = []
            for round_ in range(rounds):
                proposed = add(f"propose_trials\\nround: {round_}", ready, *done)
                done = [add(f"run_trials\\nshard: {shard}", proposed, 0) for shard in range(shards)]
            before = add(f"collect_trials\\n{label}", *done)
        plotted, retrained = add("plot_search", before), add("retrain_config\\nrank: 0", before)
        ends += [plotted, add("evaluate", retrained)]
    add("all", add("report_cost", *ends))
    return "\n".join(nodes + edges)


@pytest.fixture(scope="module")
def many() -> networkx.DiGraph[int]:
    """Ten thousand trials of each architecture, in jobs of three."""
    return read(dot(rounds=26, shards=64))


def test_ten_thousand_trials_fold_to_a_box_for_each_rule_and_stage(many: networkx.DiGraph[int]) -> None:
    assert len(many) > 6000
    few = read(dot(rounds=1, shards=1))
    folded = fold_graph(many, by_stage(many, STAGES))
    assert set(folded) == set(fold_graph(few, by_stage(few, STAGES)))
    assert folded.nodes["run_trials", "criteria stage1"]["jobs"] == 26 * 64
    assert len(fold_graph(many, by_rule(many))) == 10


def test_the_drawing_is_small_and_names_every_box(many: networkx.DiGraph[int], tmp_path: Path) -> None:
    folded = fold_graph(many, by_stage(many, STAGES))
    draw_graph(folded, tmp_path / "dag.svg", "Jobs")
    source = (tmp_path / "dag.svg").read_text(encoding="utf-8")
    assert len(source) < 200_000
    assert source.count("1664 jobs") == 4
    width, height = (float(found) for found in re.findall(r'(?:width|height)="([\d.]+)pt"', source)[:2])
    assert max(width, height) < 72 * 20
    draw_graph(folded, tmp_path / "again.svg", "Jobs")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == source


@pytest.mark.parametrize("box", [(0.0, -2.0), (0.1, -1.0), (-0.2, -3.0)])
def test_a_line_bends_around_a_box_that_it_does_not_lead_to(box: tuple[float, float]) -> None:
    start, end = (0.0, 0.0), (0.0, -4.0)
    assert passed(start, end, 0.0, [box]) == 1
    bend = least_bend(start, end, [box])
    assert bend != 0
    assert passed(start, end, bend, [box]) == 0


def test_a_line_with_nothing_in_its_way_is_straight() -> None:
    assert least_bend((0.0, 0.0), (1.0, -4.0), [(3.0, -2.0)]) == 0


def test_jobs_that_wait_for_nothing_come_just_before_what_needs_them(many: networkx.DiGraph[int]) -> None:
    places = _positions(fold_graph(many, by_rule(many)))
    assert places["define_space",][1] == places["propose_trials",][1] + 1


def test_every_colour_of_the_drawing_has_one_for_dark(many: networkx.DiGraph[int], tmp_path: Path) -> None:
    draw_graph(fold_graph(many, by_rule(many)), tmp_path / "rules.svg", "Rules")
    source = (tmp_path / "rules.svg").read_text(encoding="utf-8")
    drawn, sheet = source.split("</style>", 1)[1], source.split("</style>", 1)[0]
    used = set(re.findall(r"#[0-9a-f]{6}", drawn))
    assert used <= set(DARK)
    assert "@media (prefers-color-scheme: dark)" in sheet
    for colour in used:
        assert f'[style*="fill: {colour}"]{{fill:{DARK[colour]}!important}}' in sheet


def test_a_theme_changes_nothing_but_the_style_sheet() -> None:
    source = '<svg><defs><style>*{}</style></defs><path style="fill: #ffffff"/></svg>'
    themed_ = themed(source)
    assert re.sub(r"<style>@media.*?</style>", "", themed_) == source
