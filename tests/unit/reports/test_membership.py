"""The jobs of a study are those that its results are made of, not all that left provenance in its folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from reports_toys import provenance

from evidence_hpo.reports import membership
from evidence_hpo.reports.membership import study_jobs

RULES = Path(__file__).resolve().parents[3] / "rules"
TRAIN, BANK = "results/examples/criteria/train.parquet", "results/augmentation/criteria/original/{}/level_1/part_0"
SHARD, SELECTED = "criteria/stage1/round_0/shard_0", "results/criteria/retrain/selected.json"


def encoder(name: str, start: float) -> dict[str, Any]:
    """The jobs that prepare an encoder and tokenise with it."""
    files = {"backbone": f"results/backbones/{name}", "texts": f"results/tokens/{name}/criteria/train/texts.arrow"}
    return {
        f"prepare_backbone/{name}": provenance("prepare_backbone", start, 1, directory=files["backbone"]),
        f"tokenize_examples/{name}.criteria.train": provenance("tokenize_examples", start, 1, examples=TRAIN, **files),
    }


def bank(method: str, step: str) -> dict[str, Any]:
    """The jobs that make a bank and tokenise it."""
    made, tokens = BANK.format(method), f"results/tokens/small/criteria/augmented/{method}/texts.arrow"
    files = {"output": f"{made}.parquet", "record": f"{made}.json"}
    return {
        f"{step}/criteria.{method}": provenance(step, 3, 1, examples=TRAIN, sources=[TRAIN], **files),
        f"tokenize_augmented/small.criteria.{method}": provenance(
            "tokenize_augmented", 4, 1, parts=[files["output"]], backbone="results/backbones/small", texts=tokens
        ),
    }


def study(*methods: str) -> dict[str, Any]:
    """The provenance of a small study whose trials read the banks of ``methods``."""
    texts = ["results/tokens/small/criteria/train/texts.arrow"]
    texts += [f"results/tokens/small/criteria/augmented/{method}/texts.arrow" for method in methods]
    return {
        "prepare_corpus": provenance("prepare_corpus", 0, 1, posts="results/corpus/posts.parquet"),
        "build_examples/criteria.train": provenance(
            "build_examples", 20, 1, posts=["results/corpus/posts.parquet"], output=TRAIN
        ),
        **encoder("small", 21),
        SHARD: provenance("run_trials", 30, 5, backbones=["results/backbones/small"], texts=texts),
        "summarize_study": provenance("summarize_study", 60, 1),
    }


def test_removed_encoders_and_shards_and_runs_outside_the_study_are_left_out() -> None:
    run = provenance("train_model", 9, 50, backbones=["results/backbones/small"], examples=[TRAIN])
    other = {"criteria/stage1/round_0/shard_1": provenance("run_trials", 30, 5, texts=[]), "runs/mine": run}
    assert study_jobs({**study(), **other, **encoder("removed", 1)}, [SHARD]) == set(study())


def test_a_reader_that_is_older_than_the_last_making_of_its_file_did_not_make_it() -> None:
    """The encoder was prepared again after the run outside the study had read it."""
    early = provenance("tokenize_examples", 1, 1, backbone="results/backbones/small", texts="results/tokens/x.arrow")
    found = study_jobs({**study(), "tokenize_examples/a": early}, [SHARD])
    assert "prepare_backbone/small" in found
    assert "tokenize_examples/a" not in found


def test_banks_count_while_trials_read_them_and_with_them_what_stands_beside() -> None:
    noise, deletion = bank("noise", "augment_examples"), bank("word_deletion", "augment_with_textattack")
    summarized = [f"{BANK.format(method)}.json" for method in ("noise", "word_deletion")]
    summary = "results/augmentation/summary.json"
    beside = {
        "build_textattack": provenance("build_textattack", 1, 1, manifest="results/augmentation/textattack.json"),
        "summarize_augmentation": provenance("summarize_augmentation", 5, 1, records=summarized[:1], output=summary),
        "plot_augmentation": provenance("plot_augmentation", 6, 1, summary=summary),
    }
    made = {**noise, **deletion, **beside}
    assert study_jobs({**study(), **made}, [SHARD]) == set(study())
    simple = study_jobs({**study("noise"), **made}, [SHARD])
    assert simple == {*study(), *noise, "summarize_augmentation", "plot_augmentation"}
    assert study_jobs({**study("noise", "word_deletion"), **made}, [SHARD]) == {*study(), *made}


def test_a_bank_made_of_another_brings_that_and_what_it_needed() -> None:
    source = bank("word_deletion", "augment_with_textattack")
    files = {"output": "results/augmentation/criteria/textattack/noise.parquet"}
    chained = {
        "augment_examples/criteria.noise": provenance(
            "augment_examples", 5, 1, sources=[f"{BANK.format('word_deletion')}.parquet"], **files
        ),
        "tokenize_augmented/small.criteria.noise": provenance(
            "tokenize_augmented", 6, 1, parts=[files["output"]], texts=BANK.format("tokens")
        ),
        "build_textattack": provenance("build_textattack", 1, 1, manifest="results/augmentation/textattack.json"),
    }
    read = {SHARD: provenance("run_trials", 30, 5, texts=[BANK.format("tokens")])}
    found = study_jobs({**study(), **source, **chained, **read}, [SHARD])
    assert found >= {*chained, "augment_with_textattack/criteria.word_deletion"}


def test_every_rule_is_known_to_count_or_not_to() -> None:
    rules = dict(
        re.findall(
            r"^rule (\w+):.*?^    log:\n +\"results/logs/(\S+)\.log\"",
            "\n".join(path.read_text(encoding="utf-8") for path in RULES.glob("*.smk")),
            re.MULTILINE | re.DOTALL,
        )
    )
    own = {name for name, log in rules.items() if log.startswith("{architecture}/")}
    shared = {*membership._IN_ORDER, *membership._ALWAYS, *membership._BESIDE}
    follow = {"report_cost", "write_overview", "sync_tracking", "train_model"}
    assert set(rules) == own | shared | follow
