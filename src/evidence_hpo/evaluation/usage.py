"""The program in a model card: how to use the exported model, as the evaluation used it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["usage"]

_HEADER = """\
import json
from pathlib import Path

import torch
from transformers import {names}
"""

_SETUP = """\
folder = "."  # the folder of this card
about = json.loads(Path(folder, "evidence_hpo.json").read_text(encoding="utf-8"))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {load}
max_length = about["parameters"]["max_length"]
criterion = about["criteria"][0]
text = "A sentence or a post."
"""

_OF_PACKAGE = """

def logits(task, encoded):
    ids = encoded["input_ids"]
    context = torch.tensor([[part == 1 for part in encoded.sequence_ids(row)] for row in range(len(ids))])
    context[:, 0] = True  # the first token stands for "no span"
    types = encoded.get("token_type_ids", torch.zeros_like(ids))
    with torch.inference_mode():
        return model(task, EncoderInputs(ids, encoded["attention_mask"], types, context))

"""

_CRITERIA = """
# Criteria: is the criterion met?
encoded = tokenizer(criterion["text"], text, truncation="only_second", max_length=max_length, return_tensors="pt")
{forward}
probability = found.softmax(dim=-1)[0, 1].item()
present = probability >= about["thresholds"]["criteria"]["decision"][criterion["id"]]
print(criterion["name"], "present" if present else "absent", round(probability, 3))
"""

_EVIDENCE = """
# Evidence: which span of the text says so? Long texts are cut into overlapping windows.
special = tokenizer.num_special_tokens_to_add(pair=True)
room = max_length - special - len(tokenizer(criterion["text"], add_special_tokens=False)["input_ids"])
encoded = tokenizer(
    criterion["text"],
    text,
    truncation="only_second",
    max_length=max_length,
    stride=room - max(1, int(room * (1 - about["parameters"]["window_overlap"]))),
    padding=True,
    return_overflowing_tokens=True,
    return_offsets_mapping=True,
    return_tensors="pt",
)
offsets = encoded.pop("offset_mapping")
encoded.pop("overflow_to_sample_mapping")
{forward}
best, span = float("-inf"), (0, 0)
for row in range(len(found)):
    start, end = found[row].unbind(-1)
    null = start[0] + end[0]  # "no span"; only differences to it compare between windows
    # A span lies in the text, not in the criterion, and has a bounded number of tokens.
    context = torch.tensor([part == 1 for part in encoded.sequence_ids(row)])
    allowed = (context[:, None] & context[None, :]).triu().tril(about["max_answer_tokens"] - 1)
    scores = (start[:, None] + end[None, :] - null).masked_fill(~allowed, float("-inf"))
    if scores.max() > best:
        best = scores.max().item()
        first, last = divmod(scores.argmax().item(), len(context))
        span = offsets[row, first, 0].item(), offsets[row, last, 1].item()
answered = best > about["thresholds"]["evidence"]["decision"][criterion["id"]]
print(criterion["name"], text[span[0] : span[1]].strip() if answered else "no span", round(best, 3))
"""

_AUTO = {"criteria": "AutoModelForSequenceClassification", "evidence": "AutoModelForQuestionAnswering"}
_FORWARD = {
    "criteria": "with torch.inference_mode():\n    found = model(**encoded).logits",
    "evidence": (
        "with torch.inference_mode():\n    output = model(**encoded)\n"
        "found = torch.stack([output.start_logits, output.end_logits], dim=-1)"
    ),
}
_DECISIONS = {"criteria": _CRITERIA, "evidence": _EVIDENCE}


def usage(description: Mapping[str, Any]) -> str:
    """Return a Python program that loads the model from its folder and applies it to one text.

    Args:
        description: Content of ``evidence_hpo.json``.
    """
    own = description["transformers_class"] is None
    if own:
        program = _HEADER.format(names="AutoTokenizer")
        program += "\nfrom evidence_hpo.models.architectures import EncoderInputs\n"
        program += "from evidence_hpo.models.hf_layout import load_exported\n\n"
        program += _SETUP.format(load="load_exported(folder)") + _OF_PACKAGE
    else:
        (task,) = description["tasks"]
        program = _HEADER.format(names=f"{_AUTO[task]}, AutoTokenizer") + "\n"
        program += _SETUP.format(load=f"{_AUTO[task]}.from_pretrained(folder).eval()")
    for task in description["tasks"]:
        forward = f'found = logits("{task}", encoded)' if own else _FORWARD[task]
        program += _DECISIONS[task].format(forward=forward)
    return program
