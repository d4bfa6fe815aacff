"""How long the pipeline's own machinery takes at the size of a real study.

Run `python benchmarks/scale.py`. In a temporary folder it

1. builds data and tokens of a generated corpus of 1,484 posts and 9 criteria (all pairs of the evidence task), through
   Snakemake on two cores;
2. dry-runs the full two-stage study (350 + 150 trials) on all four architectures.

Prints a table of wall seconds, each the median of the given number of runs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURES = ["criteria", "evidence", "share", "joint"]
CORPUS = {
    "data": {
        "corpus": {"sample": {"posts": 1484}},
        "examples": {"evidence": {"negatives_per_positive": None}},
    }
}
TOKENS = [
    f"results/tokens/small/{task}/{split}/{name}.arrow"
    for task in ("criteria", "evidence")
    for split in ("train", "validation", "test")
    for name in ("texts", "examples")
]


def two_stage_study() -> dict[str, object]:
    preset: dict[str, object] = yaml.safe_load((ROOT / "presets" / "redsm5.yaml").read_text(encoding="utf-8"))
    return {**preset, "study": {"name": "redsm5", "architectures": ARCHITECTURES}}


def seconds(settings: dict[str, object], *arguments: str) -> float:
    """Return the wall seconds of one Snakemake call in an empty folder."""
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "study.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments]
        started = time.monotonic()
        subprocess.run([*command, "--configfile", "study.yaml"], cwd=folder, check=True, capture_output=True)
        return time.monotonic() - started
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    cases = {
        "data and tokens, 1,484 posts x 9 criteria": (CORPUS, [*TOKENS, "--cores", "2"]),
        "dry run, 500 trials x 4 architectures": (two_stage_study(), ["--dry-run"]),
    }
    print("| what | median | all runs |\n|---|---|---|")
    for name, (settings, arguments) in cases.items():
        measured = [seconds(settings, *arguments) for _ in range(runs)]
        each = ", ".join(f"{value:.1f}" for value in measured)
        print(f"| {name} | {statistics.median(measured):.1f} s | {each} |")


if __name__ == "__main__":
    main()
