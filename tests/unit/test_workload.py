"""What jobs ask a scheduler for: from sizes, from what finished jobs took, and more at each attempt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.workload import EncoderSize, Measured, Workload, measured, memory_mb, minutes

SMALL, BASE = EncoderSize(2, 128, 415_360), EncoderSize(12, 768, 184_000_000)
WORK = Workload(
    runs=4,
    epochs=8,
    data_fraction=1.0,
    examples=1500.0,
    length=512,
    batch=16,
    encoders=[SMALL, BASE],
    encoders_at_once=1,
    device="cuda",
    threads=1,
)
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(folder: Path, name: str, seconds: str, megabytes: str) -> str:
    (folder / name).write_text(f"{HEADER}{seconds}\t0:00:09\t{megabytes}\t1\t1\t1\t0\t0\t99\t9\n", encoding="utf-8")
    return name


def test_time_grows_with_the_work_and_the_largest_encoder_decides() -> None:
    assert minutes(replace(WORK, runs=8), None) > minutes(WORK, None)
    assert minutes(replace(WORK, data_fraction=0.25), None) < minutes(WORK, None)
    assert (
        minutes(replace(WORK, encoders=[SMALL]), None)
        < minutes(WORK, None)
        == minutes(replace(WORK, encoders=[BASE]), None)
    )
    assert minutes(replace(WORK, device="cpu"), None) > 100 * minutes(WORK, None)
    assert minutes(replace(WORK, device="auto"), None) == minutes(WORK, None)


def test_a_known_speed_replaces_the_model() -> None:
    known = Measured(epoch_seconds=60.0, memory_mb=3000.0)
    assert minutes(WORK, known) == 110  # 10 to start, and three times the 32 minutes of 4 runs of 8 epochs
    assert memory_mb(WORK, known) == 4500


@given(st.integers(1, 20), st.sampled_from(["auto", "cpu", "cuda"]), st.integers(1, 4))
def test_each_attempt_asks_for_more(runs: int, device: str, attempt: int) -> None:
    work = replace(WORK, runs=runs, device=device)
    assert 2 * minutes(work, None, attempt) - 20 <= minutes(work, None, attempt + 1) <= 2 * minutes(work, None, attempt)
    assert memory_mb(work, None, attempt + 1) > memory_mb(work, None, attempt)


def test_memory_holds_weights_and_on_a_cpu_activations() -> None:
    on_gpu = memory_mb(WORK, None)
    assert on_gpu == 5200, "1.5 GB, and 20 bytes for each of 184 million weights"
    assert memory_mb(replace(WORK, encoders_at_once=2), None) == 8900
    assert memory_mb(replace(WORK, device="cpu"), None) > on_gpu
    longer = replace(WORK, device="cpu", length=1024)
    assert memory_mb(longer, None) > 2 * memory_mb(replace(WORK, device="cpu"), None), "attention grows with the square"


def test_the_slowest_and_the_largest_shard_count(tmp_path: Path) -> None:
    shards = [
        (benchmark(tmp_path, "a.tsv", "90.0", "500.0"), 3.0, 1),
        (benchmark(tmp_path, "b.tsv", "40.0", "700.0"), 1.0, 1),
        ("absent.tsv", 1.0, 1),
    ]
    assert measured(tmp_path, shards) == Measured(epoch_seconds=40.0, memory_mb=700.0)


def test_runs_at_once_share_the_time_and_the_job_has_the_memory_of_all(tmp_path: Path) -> None:
    known = measured(tmp_path, [(benchmark(tmp_path, "a.tsv", "320.0", "8000.0"), 32.0, 4)])
    assert known == Measured(epoch_seconds=40.0, memory_mb=8000.0)
    together, alone = replace(WORK, at_once=4), replace(WORK, runs=1)
    assert minutes(together, known) == minutes(alone, known), "four at once take as long as one, with what was measured"
    assert memory_mb(together, None) == 4 * memory_mb(alone, None)
    assert minutes(together, None) == minutes(WORK, None), "they share the speed of the GPU"


@pytest.mark.parametrize("content", ["", HEADER, "s\n3\n"], ids=["empty", "header only", "other columns"])
def test_a_benchmark_without_values_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.tsv").write_text(content, encoding="utf-8")
    short = benchmark(tmp_path, "short.tsv", "0.2", "NA")  # of a job that ended before it could be measured
    assert measured(tmp_path, [("a.tsv", 1.0, 1), (short, 1.0, 1)]) is None
