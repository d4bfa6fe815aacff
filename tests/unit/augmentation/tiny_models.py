"""Makes tiny models in TextAttack's environment: a masked language model and a classifier with one tokeniser."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertTokenizerFast

WORDS = "i am so tired sad happy sleep food not never and the of it today ! . ,"


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(vocabulary))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=1.0,
    )
    for name, kind in (("masked_lm", BertForMaskedLM), ("victim", BertForSequenceClassification)):
        model = kind(config)
        if name == "victim":
            _make_undecided(model.eval(), tokenizer)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def _make_undecided(model: BertForSequenceClassification, tokenizer: BertTokenizerFast) -> None:
    """Move the classifier's bias to the middle of its answers, so that single words change its mind."""
    with torch.no_grad():
        logits = model(**tokenizer(WORDS.split(), padding=True, return_tensors="pt")).logits
        model.classifier.bias -= logits.median(dim=0).values


if __name__ == "__main__":
    main(Path(sys.argv[1]))
