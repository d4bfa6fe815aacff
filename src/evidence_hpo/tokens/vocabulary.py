"""A small tokeniser trained on the training posts, for a backbone made from scratch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from evidence_hpo.errors import DataError

__all__ = ["SPECIAL_TOKENS", "train_tokenizer"]

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
"""In the order of their ids, from 0."""

# Words with the space before them, clitics as 't, single digits, and each symbol or emoji on its own, so that an
# unknown one hides no word.
_PIECES = Regex(r"['’][\p{L}\p{M}]+|▁?[\p{L}\p{M}]+|▁?\p{N}|▁?[^\p{L}\p{M}\p{N}▁]|▁")


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Train byte-pair encoding (Sennrich et al., 2016) on lower-cased words; equal texts give an equal tokeniser.

    Not WordPiece: its trainer numbers the continuing pieces in the order of a hash table, which differs from process
    to process. For the same reason the alphabet is counted here, and ties are broken by the character.

    Args:
        texts: The training posts.
        vocabulary: Largest size of the vocabulary, special tokens included.

    Raises:
        DataError: The texts hold no character.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Split(_PIECES, "isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    alphabet = _alphabet(tokenizer, texts, vocabulary)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _alphabet(tokenizer: Tokenizer, texts: Sequence[str], vocabulary: int) -> list[str]:
    """Return the commonest characters, at most half of the vocabulary."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text).replace(" ", "▁"))
    if not counts:
        raise DataError("the training posts hold no text to train a tokeniser on")
    ordered = sorted(counts, key=lambda character: (-counts[character], character))
    return sorted({"▁", *ordered[: (vocabulary - len(SPECIAL_TOKENS)) // 2]})
