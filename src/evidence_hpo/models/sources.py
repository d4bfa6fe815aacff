"""Where an encoder comes from: a pinned snapshot of the Hugging Face hub, or a local folder. Safe files only."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.backbones import FolderBackbone, HubBackbone
from evidence_hpo.errors import DataError
from evidence_hpo.storage import storage_errors

__all__ = ["check_folder", "fetch_snapshot"]

_PATTERNS = [
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
]
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "spiece.model", "sentencepiece.bpe.model")


def fetch_snapshot(settings: HubBackbone) -> Path:
    """Download (or find in the local cache) the safe files of a model; the folder's name is the commit.

    Raises:
        DataError: The model or revision does not exist, is gated, has no safetensors, or the hub cannot be reached.
        StorageError: The disk of the local cache is full.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        with storage_errors(Path(constants.HF_HUB_CACHE)):
            folder = Path(snapshot_download(settings.model, revision=settings.revision, allow_patterns=_PATTERNS))
    except (OSError, HFValidationError) as error:
        raise DataError(f"hub model '{settings.model}' ({settings.revision}): {_reason(error, settings)}") from error
    where = f"hub model '{settings.model}' ({settings.revision})"
    if not _has_weights(folder):
        raise DataError(f"{where}: no safetensors weights{_revision_hint(settings)}")
    _check(folder, where)
    return folder


def check_folder(settings: FolderBackbone) -> Path:
    """Return the folder after checking that it holds a configuration, a tokeniser and safetensors weights.

    Raises:
        DataError: A part is missing.
    """
    folder = Path(settings.path)
    if not folder.is_dir():
        raise DataError(f"backbone folder {folder}: no such folder")
    where = f"backbone folder {folder}"
    if not _has_weights(folder):
        pickled = " (only pickled weights)" if list(folder.glob("*.bin")) else ""
        raise DataError(f"{where}: no model.safetensors{pickled}; {_CONVERT}")
    _check(folder, where)
    return folder


_CONVERT = (
    "convert it in a place you trust with AutoModel.from_pretrained(...).save_pretrained(<folder>), "
    "AutoTokenizer.from_pretrained(...).save_pretrained(<folder>) and use `source: folder`"
)


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))


def _check(folder: Path, where: str) -> None:
    if not (folder / "config.json").is_file():
        raise DataError(f"{where}: no config.json; this is not a model in Hugging Face layout")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise DataError(f"{where}: no tokeniser, needs one of {', '.join(_TOKENIZER_FILES)}")


def _reason(error: Exception, settings: HubBackbone) -> str:
    """Say in one line what is wrong and what to do about it."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "the model is gated; accept its terms on the hub and log in with `hf auth login`, then run again"
    if isinstance(error, errors.RevisionNotFoundError):
        return "no such revision; give a commit, tag or branch of the model"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "no such model, or it is private and you are not logged in; check `model` or run `hf auth login`"
    if isinstance(error, errors.HFValidationError):
        return "not a model id; write it as organisation/name"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            "the hub cannot be reached and the model is not in the local cache; run this rule once on a machine with "
            "network, or use `source: folder`"
        )
    return f"download failed ({type(error).__name__}); run again"


def _revision_hint(settings: HubBackbone) -> str:
    """Name a revision of the model that has safetensors, if the hub knows one; otherwise how to convert."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        requests = api.list_repo_refs(settings.model, include_pull_requests=True).pull_requests or []
        for request in requests[:20]:
            files = api.list_repo_files(settings.model, revision=request.ref)
            if "model.safetensors" in files:
                return f"; revision '{request.ref}' has them (a proposal on the hub: check who made it), or {_CONVERT}"
    except OSError:
        pass
    return f"; {_CONVERT}"
