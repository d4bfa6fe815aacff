"""The model card of an exported model: what it is, how good it is beside its floors, what it is for and what not.

The front matter is what the Hugging Face hub reads (its utilities write it, without network); the sections follow
Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from evidence_hpo.evaluation.augmentation_text import augmentation_text
from evidence_hpo.evaluation.levels import level_text
from evidence_hpo.evaluation.markdown import gap, score, table
from evidence_hpo.evaluation.reports import FLOOR_NAMES, refit_verdicts, verdicts
from evidence_hpo.evaluation.usage import usage
from evidence_hpo.files import digest_json

__all__ = ["model_card"]

_HUB_TASKS = {"criteria": "text-classification", "evidence": "question-answering"}
_HUB_METRICS = {"macro_f1": "f1", "f1_over_criteria": "f1", "char_f1": "f1"}
_WHAT = {
    "criteria": "decides whether a sentence or post meets a criterion (*absent* or *present*)",
    "evidence": "finds the span of a post that is evidence for a criterion, or says that there is none",
}
_ARCHITECTURES = {
    "criteria": "One encoder with a classification head.",
    "evidence": "One encoder with a span head.",
    "share": "One encoder with a classification head and a span head, trained on both tasks.",
    "joint": "Two encoders; the text vector of the criteria encoder is fused into the tokens of the evidence encoder.",
}
_SOURCES = {
    "sample": "the synthetic sample corpus of evidence-hpo",
    "files": "a corpus of the authors' own",
    "hub": "a data set of the Hugging Face hub",
}
_LIMITS = """\
- For research on annotated text: comparing methods, finding candidate passages that a person then reads.
- **Not a diagnostic instrument.** It was never tested on people, only on annotations of text. Do not use it to
  diagnose, to screen, to monitor or to decide about anyone, with or without their knowledge.
- It knows the criteria above, in their wording in `evidence_hpo.json`, in texts like its training texts. Other
  criteria, languages, platforms and times are untested. It has learnt the errors of its annotations too.
- Its probabilities are those of the training data's mix of positives and negatives; the thresholds were tuned on the
  validation split of the same corpus.
- A model can give away what it was trained on; so can the vocabulary of a tokeniser that was made from the posts. Share
  this folder as widely as the terms of the training data allow, and no wider."""
_SYNTHETIC = """\
> **Synthetic data.** The model was trained and scored on the sample corpus of evidence-hpo, whose posts were generated
> by a grammar. Its scores say that the pipeline works, and nothing about texts that people wrote."""
_REFIT = """\
It is a **refit**: trained on the training and validation posts together, so that no validation post was left to tune
thresholds or to choose weights by. It decides at the mean of the final models' thresholds and holds the weights of its
last epoch. Its verdict on the test split:"""
_FINALS = (
    "The verdict of the final models, which have the same configuration and were trained on the training posts alone:"
)


def model_card(
    description: Mapping[str, Any], evaluation: Mapping[str, Any], *, seconds: float, package_version: str
) -> str:
    """Return the card as Markdown with front matter, equal for equal inputs; it holds no text of a post.

    Args:
        description: Content of ``evidence_hpo.json``.
        evaluation: Content of ``evaluation.json``.
        seconds: Duration of the training run.
        package_version: Version of this package.
    """
    title = f"{description['study']}: {description['architecture']}"
    sections = [
        ("", _introduction(description, evaluation)),
        ("Use", _use(description)),
        ("Criteria", table(["id", "name"], [[one["id"], one["name"]] for one in description["criteria"]])),
        ("Scores on the test split", _scores(description, evaluation)),
        ("Intended use and limits", [_LIMITS]),
        ("Training data", _data(description, evaluation)),
        ("Training", _training(description, evaluation, seconds)),
        ("Rebuild and cite", _rebuild(description, package_version)),
    ]
    lines = ["---", _front_matter(description, evaluation), "---", "", f"# {title}"]
    for heading, body in sections:
        lines += ["", f"## {heading}", "", *body] if heading else ["", *body]
    return "\n".join(lines) + "\n"


def _introduction(description: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    does = " and ".join(_WHAT[task] for task in description["tasks"])
    lines = [
        f"This model {does}. {_ARCHITECTURES[description['architecture']]} It was found, trained and scored by "
        f"[evidence-hpo](#rebuild-and-cite) in the study `{description['study']}`."
    ]
    warnings = list(evaluation["warnings"])
    if _is_refit(description):
        warnings += evaluation["refit"]["warnings"]
        lines += ["", _REFIT, *_verdicts(refit_verdicts(evaluation)), "", _FINALS]
    lines += _verdicts(verdicts(evaluation))
    for warning in warnings:
        lines += ["", f"> **Warning.** {warning['message']}"]
    if description["data"]["source"]["kind"] == "sample":
        lines += ["", _SYNTHETIC]
    return lines


def _verdicts(found: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for verdict in found:
        name = "" if verdict["above_all_floors"] else "Warning: "
        lines += ["", f"> **{name}{verdict['task']}** {verdict['text']}"]
    return lines


def _is_refit(description: Mapping[str, Any]) -> bool:
    return "validation" in description["trained_on"]


def _use(description: Mapping[str, Any]) -> list[str]:
    name = description["transformers_class"]
    if name is None:
        what = (
            "Its heads are not among transformers' own classes, so **evidence-hpo is needed to load it**: this folder "
            "holds the encoder, as `AutoModel` reads it, and all other weights in `heads.safetensors`."
        )
        if description["architecture"] == "joint":
            what += " The second encoder lies in `evidence_encoder/`."
    else:
        what = f"It is a `{name}`: **transformers alone loads it**, evidence-hpo is not needed."
    texts = {"criteria": f"a {description['data']['criteria_unit']}", "evidence": "a post"}
    taken = " and ".join(f"{texts[task]} for {task}" for task in description["tasks"])
    return [
        f"{what} An input is the wording of a criterion, as it is in `evidence_hpo.json`, and a text: {taken}. That "
        "file also holds the thresholds. This program decides as the evaluation did:",
        "",
        "```python",
        usage(description).strip("\n"),
        "```",
    ]


def _scores(description: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    seeds = len(evaluation["seeds"])
    if _is_refit(description):
        number = f"{seeds} fresh seeds" if seeds > 1 else "one fresh seed"
        which = f"{number} on the split *train*, and then for this model on *train* and *validation* together"
    elif seeds > 1:
        which = f"{seeds} fresh seeds. This is seed {description['seed']}, which has the best *validation* score"
    else:
        which = "one fresh seed, which is this model"
    lines = [
        f"The configuration was trained with {which}. The test split chose nothing. Intervals "
        f"({level_text(evaluation['confidence'])}) are bootstraps over posts, of the mean over seeds; floors are "
        "methods without a transformer, on the same rows.",
        "",
    ]
    for name, task in sorted(evaluation["tasks"].items()):
        lines += _task(description, evaluation, name, task)
    return lines[:-1]


def _task(
    description: Mapping[str, Any], evaluation: Mapping[str, Any], name: str, task: Mapping[str, Any]
) -> list[str]:
    rows, headline = task["rows"]["test"], task["headline"]
    strategy = headline["thresholds"]
    floors = task["floors"]
    header = ["metric", "this model", "mean of the seeds"]
    refit = evaluation["refit"]["tasks"][name] if _is_refit(description) else None
    if refit:
        header.append("mean of the refits minus mean of the seeds")
    for floor in floors:
        floor_name = FLOOR_NAMES.get(floor["name"], floor["name"])
        header += [floor_name, f"mean minus {floor_name}"]
    body = []
    for metric, found in task["metrics"][strategy].items():
        own = _own(description, evaluation, name, metric)
        cells = [f"`{metric}`", f"{own:.3f}", score(found)]
        if refit:
            cells.append(gap(refit["differences"][metric]))
        for floor in floors:
            cells += [f"{floor['metrics'][strategy][metric]['mean']:.3f}", gap(floor["differences"][metric])]
        body.append(cells)
    metric = headline["metric"]
    by_criterion = [
        [one["criterion"], str(one["examples"]), str(one["positives"]), score(one["metrics"][metric])]
        for one in task["by_criterion"]
    ]
    return [
        f"### {name}",
        "",
        f"{rows['examples']} examples of {rows['posts']} posts, {rows['positives']} of them positive; headline metric "
        f"`{metric}`.",
        "",
        *table(header, body),
        "",
        *table(["criterion", "examples", "positives", f"`{metric}`, mean of the seeds"], by_criterion),
        "",
        *_thresholds(description, name),
        "",
    ]


def _own(description: Mapping[str, Any], evaluation: Mapping[str, Any], task: str, metric: str) -> float:
    """Return this model's own score under the headline thresholds."""
    seeds = (evaluation["refit"] if _is_refit(description) else evaluation)["seeds"]
    per_seed = _shown(description, evaluation, task)[metric]["per_seed"]
    return float(per_seed[seeds.index(description["seed"])])


def _thresholds(description: Mapping[str, Any], task: str) -> list[str]:
    thresholds = description["thresholds"][task]
    unit = "probability" if task == "criteria" else "margin of the best span over the null answer"
    values = sorted(set(thresholds["decision"].values()))
    shown = f"{values[0]:.4g}" if len(values) == 1 else f"{values[0]:.4g} to {values[-1]:.4g}, by criterion"
    tuned = "tuned on the validation split"
    if _is_refit(description):
        tuned = f"mean of the thresholds that were {tuned} for the final models"
    how = "not tuned" if thresholds["strategy"] == "none" else tuned
    return [f"Decision threshold ({unit}, {how}): {shown}; exact values in `evidence_hpo.json`."]


def _data(description: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    data = description["data"]
    source = data["source"]
    named = f": `{source['dataset']}`, revision `{source['revision']}`" if "dataset" in source else ""
    body = [[f"corpus, {part}", "-", f"`{digest}`"] for part, digest in sorted(data["corpus"].items())]
    body += [[f"split {name}", str(one["posts"]), f"`{one['digest']}`"] for name, one in data["splits"].items()]
    for kind, what in (("examples", "examples"), ("tokens", "token cache")):
        for split, of_split in data[kind].items():
            body += [[f"{what} {split}, {task}", "-", f"`{digest}`"] for task, digest in sorted(of_split.items())]
    trained = {task: found["rows"]["validation"] for task, found in sorted(evaluation["tasks"].items())}
    validation = "; ".join(f"{task}: {rows['examples']} examples" for task, rows in trained.items())
    how = f"on the split *train*; checkpoint and thresholds were chosen on *validation* ({validation})"
    if _is_refit(description):
        how = (
            f"on the splits *train* and *validation* together ({validation}); configuration, number of epochs and "
            "thresholds were chosen before, with models that were trained on *train* alone"
        )
    return [
        f"The corpus is {_SOURCES[source['kind']]}{named}. Posts are split once; no post is in two splits. The model "
        f"was trained {how}.",
        "",
        *table(["content", "posts", "SHA-256"], body),
    ]


def _training(description: Mapping[str, Any], evaluation: Mapping[str, Any], seconds: float) -> list[str]:
    run, validation, backbone = description["run"], description["validation"], description["backbone"]
    configuration = evaluation["configuration"]
    origin = configuration["origin"]
    of_seeds = ", ".join(f"{value:.4f}" for value in validation["of_seeds"])
    body = [[f"`{name}`", f"`{value}`"] for name, value in sorted(description["parameters"].items())]
    if _is_refit(description):
        role, length = "refit", f"ended after epoch {run['refit_epochs']} of a schedule of {run['epochs']}"
        scored = f"none of its own, as it was trained on that split (final models: {of_seeds})"
    else:
        role, length = "final", f"at most {run['epochs']} epochs, best epoch {validation['best_epoch']:g}"
        scored = f"{validation['value']:.4f} (all seeds: {of_seeds})"
    where = f"results/provenance/{description['architecture']}/retrain/{role}/seed_{description['seed']}.json"
    return [
        *_backbone(backbone),
        f"- Configuration: trial {origin['number']} of {origin['stage']}, {length}, effective batch "
        f"{configuration['effective_batch_size']}, training seed {description['training_seed']}.",
        *([f"- {augmented}"] if (augmented := augmentation_text(description["parameters"])) else []),
        f"- Validation `{validation['objective']}`: {scored}.",
        f"- Arithmetic {run['precision']}; weights are stored in float32. The run took {seconds:.0f} s; energy was not "
        f"measured. The study's folder names the machine in `{where}`.",
        "- Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(run["versions"].items())) + ".",
        "",
        *table(["parameter", "value"], body),
    ]


def _backbone(backbone: Mapping[str, Any]) -> list[str]:
    size = f"{backbone['model_type']}, layers: {backbone['layers']}, width: {backbone['hidden']}"
    if backbone["source"] == "hub":
        commit = backbone.get("commit") or backbone["revision"]
        name = f"[{backbone['model']}](https://huggingface.co/{backbone['model']}), commit `{commit}`"
        licence = "see its page; this model must follow it"
    elif backbone["source"] == "scratch":
        name, licence = "made from scratch, its tokeniser trained on the training posts", "none of its own"
    else:
        name, licence = "from a folder of the authors", "unknown"
    return [f"- Encoder `{backbone['name']}`: {name} ({size}). Licence: {licence}. Digest `{backbone['digest']}`."]


def _rebuild(description: Mapping[str, Any], package_version: str) -> list[str]:
    run = description["run"]
    return [
        "In the study's folder, with its configuration and data:",
        "",
        "```bash",
        f"snakemake results/models/{description['architecture']} --cores all --configfile <configuration>",
        "```",
        "",
        *table(
            ["what", "SHA-256"],
            [
                ["parameters", f"`{digest_json(description['parameters'])}`"],
                ["run (parameters, seed, data, encoder, code, versions)", f"`{run['key']}`"],
                ["code that trained", f"`{run['code']}`"],
                ["weights as trained", f"`{run['weights']}`"],
                ["evaluation", f"`{description['evaluation']}`"],
            ],
        ),
        "",
        f"Cite the study and evidence-hpo {package_version}, with the digest of the run.",
    ]


def _front_matter(description: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    backbone, source = description["backbone"], description["data"]["source"]
    alone = description["transformers_class"] is not None
    on_hub = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source.get("dataset", "")) is not None
    data = ModelCardData(
        license="unknown",
        library_name="transformers" if alone else None,
        pipeline_tag=_HUB_TASKS[description["tasks"][0]] if alone else None,
        base_model=backbone["model"] if backbone["source"] == "hub" else None,
        datasets=[source["dataset"]] if on_hub else None,
        tags=["evidence-hpo", *(_HUB_TASKS[task] for task in description["tasks"])],
        model_name=f"{description['study']}-{description['architecture']}",
        eval_results=_results(description, evaluation),
    )
    return str(data.to_yaml())


def _results(description: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[EvalResult]:
    source, digests = description["data"]["source"], evaluation["digests"]
    return [
        EvalResult(
            task_type=_HUB_TASKS[name],
            task_name=name,
            dataset_type=source.get("dataset", source["kind"]),
            dataset_name=_SOURCES[source["kind"]],
            dataset_split=evaluation["split"],
            dataset_revision=source.get("revision"),
            dataset_args={"token_cache_sha256": digests[evaluation["split"]][name]},
            metric_type=_HUB_METRICS.get(metric, metric),
            metric_name=_metric_name(metric, _shown(description, evaluation, name)[metric], evaluation),
            metric_value=_own(description, evaluation, name, metric),
        )
        for name, task in sorted(evaluation["tasks"].items())
        for metric in task["metrics"][task["headline"]["thresholds"]]
    ]


def _shown(description: Mapping[str, Any], evaluation: Mapping[str, Any], task: str) -> Mapping[str, Any]:
    """Return the scores of the models of this one's kind, refits or final models, under the headline thresholds."""
    scored = evaluation["refit"] if _is_refit(description) else evaluation
    shown: Mapping[str, Any] = scored["tasks"][task]["metrics"][evaluation["tasks"][task]["headline"]["thresholds"]]
    return shown


def _metric_name(metric: str, found: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    seeds, level = len(found["per_seed"]), evaluation["confidence"]
    interval = f"{level_text(level)} interval {found['low']:.3f} to {found['high']:.3f}"
    return f"{metric} (mean of {seeds} seed{'s' if seeds > 1 else ''} {found['mean']:.3f}, {interval})"
