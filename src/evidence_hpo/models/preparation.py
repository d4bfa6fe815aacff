"""Makes a backbone ready for the study: encoder only, safetensors, one kind of fast tokeniser, a manifest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoTokenizer, DebertaV2Config, DebertaV2Model, PreTrainedModel, PreTrainedTokenizerFast

from evidence_hpo.config.backbones import FolderBackbone, HubBackbone, ScratchBackbone
from evidence_hpo.errors import DataError
from evidence_hpo.logs import log_event
from evidence_hpo.models.backbones import load_encoder, max_positions, quiet
from evidence_hpo.models.pretraining import PretrainingTokens, pretrain
from evidence_hpo.models.sources import check_folder, fetch_snapshot
from evidence_hpo.tokens.vocabulary import SPECIAL_TOKENS, train_tokenizer

__all__ = ["prepare"]

_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def prepare(
    settings: HubBackbone | FolderBackbone | ScratchBackbone, *, seed: int, posts: Sequence[str], directory: Path
) -> dict[str, Any]:
    """Fill ``directory`` with encoder and tokeniser, and return what the manifest says about them (all but the digest).

    Args:
        settings: Where the backbone comes from.
        seed: Seed of weights and pretraining; source ``scratch`` only.
        posts: Texts of the training posts; source ``scratch`` only.
        directory: An empty directory.

    Raises:
        DataError: The source is missing, cannot be reached, or is no encoder with a fast tokeniser.
    """
    quiet()
    if isinstance(settings, ScratchBackbone):
        model, tokenizer, origin = _scratch(settings, seed, posts)
    else:
        model, tokenizer, origin = _existing(settings)
    longest = max_positions(model)
    _save(model, tokenizer, longest, directory)
    return {
        "source": settings.source,
        **origin,
        "model_type": model.config.model_type,
        "layers": model.config.num_hidden_layers,
        "hidden": model.config.hidden_size,
        "max_positions": longest,
        "vocabulary": _vocabulary(model),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def _existing(
    settings: HubBackbone | FolderBackbone,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, Any]]:
    if isinstance(settings, HubBackbone):
        folder = fetch_snapshot(settings)
        origin = {"model": settings.model, "revision": settings.revision, "commit": folder.name}
        where = f"hub model '{settings.model}' ({settings.revision})"
    else:
        folder, origin, where = check_folder(settings), {}, f"backbone folder {settings.path}"
    tokenizer = _fast_tokenizer(folder, where)
    model = load_encoder(folder, dropout=0.1)
    rows = _vocabulary(model)
    if len(tokenizer) > rows:
        raise DataError(f"{where}: the tokeniser has {len(tokenizer)} tokens, the encoder embeds {rows}")
    return model, tokenizer, origin


def _vocabulary(model: PreTrainedModel) -> int:
    return cast("nn.Embedding", model.get_input_embeddings()).num_embeddings


def _fast_tokenizer(folder: Path, where: str) -> PreTrainedTokenizerFast:
    try:
        loaded = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers and its parsers raise all kinds
        reason = str(error).strip().split("\n")[0][:200]
        raise DataError(f"{where}: the tokeniser cannot be read ({reason})") from error
    if not loaded.is_fast:
        raise DataError(
            f"{where}: {type(loaded).__name__} has no fast version (needed for character offsets); use another model"
        )
    missing = [name for name in ("cls_token", "sep_token", "pad_token") if getattr(loaded, name) is None]
    if missing:
        raise DataError(f"{where}: the tokeniser has no {', '.join(missing)}; use a BERT-like encoder")
    return _wrapped(loaded.backend_tokenizer, loaded.model_input_names, {n: getattr(loaded, n) for n in _SPECIAL})


def _wrapped(backend: Tokenizer, inputs: Sequence[str], special: Mapping[str, str | None]) -> PreTrainedTokenizerFast:
    """Wrap a tokeniser so that it is read back from its tokenizer.json as it is, whatever its family."""
    known = {name: str(token) for name, token in special.items() if token is not None}
    wrapped: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, model_input_names=list(inputs), **known
    )
    return wrapped


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, longest: int, directory: Path) -> None:
    for name in ("auto_map", "_name_or_path"):  # remote code, and paths of this machine
        if hasattr(model.config, name):
            delattr(model.config, name)
    tokenizer.model_max_length = longest
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _scratch(
    settings: ScratchBackbone, seed: int, posts: Sequence[str]
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, Any]]:
    backend = train_tokenizer(posts, settings.vocabulary)
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    tokenizer = _wrapped(backend, ("input_ids", "token_type_ids", "attention_mask"), names)
    origin: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        model = DebertaV2Model(_scratch_config(settings, backend)).train(False)
        if settings.pretraining_epochs:
            losses = _pretrained(model, backend, posts, settings.pretraining_epochs, seed)
            origin["pretraining"] = {"epochs": settings.pretraining_epochs, "losses": losses}
    return model, tokenizer, origin


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over another number of threads give other weights."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _scratch_config(settings: ScratchBackbone, backend: Tokenizer) -> DebertaV2Config:
    """Return a small DeBERTa-v3: disentangled relative attention, no absolute positions."""
    relative: dict[str, Any] = {
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_buckets": min(64, settings.max_positions // 2),
    }
    return DebertaV2Config(
        vocab_size=backend.get_vocab_size(),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate,
        max_position_embeddings=settings.max_positions,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=2,  # tells criterion from text, which pretraining on posts alone cannot teach
        # Small weights learn rules that carry over; at width**-0.5 a small encoder memorises its training posts.
        initializer_range=0.02,
        layer_norm_eps=1e-7,
        pad_token_id=SPECIAL_TOKENS.index("[PAD]"),
        **relative,
    )


def _pretrained(
    model: PreTrainedModel, backend: Tokenizer, posts: Sequence[str], epochs: int, seed: int
) -> list[float]:
    index = {token: number for number, token in enumerate(SPECIAL_TOKENS)}
    tokens = PretrainingTokens(
        cls=index["[CLS]"],
        sep=index["[SEP]"],
        mask=index["[MASK]"],
        size=backend.get_vocab_size(),
        special=tuple(index.values()),
    )
    ids = [encoding.ids for encoding in backend.encode_batch(list(posts), add_special_tokens=False)]
    losses = pretrain(
        model,
        ids,
        tokens,
        epochs=epochs,
        seed=seed,
        report=lambda epoch, loss: log_event(
            "pretraining", f"pretraining epoch {epoch} of {epochs}: loss {loss:.3f}", epoch=epoch, loss=round(loss, 4)
        ),
    )
    return [round(loss, 4) for loss in losses]
