"""What `doctor` looks at for a study: its data, its encoders, and what its parameters need."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.cli.probes import Probe, State
from evidence_hpo.config.backbones import BackboneSettings, FolderBackbone, HubBackbone
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.data import CorpusSettings
from evidence_hpo.config.spaces import Choices
from evidence_hpo.graph import StudyGraph

__all__ = ["Hub", "possible_values", "probe_augmentation", "probe_backbone", "probe_corpus", "probe_optimizers"]

_SECONDS = 10.0
_LOGIN = "accept its terms on the hub, then `hf auth login`"

HubState = Callable[[str, str, str], str]
"""(kind: model or dataset, name, revision) -> cached, reachable, gated, unknown or unreachable."""


class Hub:
    """The Hugging Face hub as this machine sees it; where it does not answer once, it is not asked again."""

    def __init__(self) -> None:
        self._answers = True

    def state(self, kind: str, name: str, revision: str) -> str:
        """Return whether a model or a data set is in the local cache, or could be fetched now."""
        if _is_cached(kind, name, revision):
            return "cached"
        found = _asked(kind, name, revision) if self._answers else "unreachable"
        self._answers = found != "unreachable"
        return found


def _is_cached(kind: str, name: str, revision: str) -> bool:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = [one for one in scan_cache_dir().repos if (one.repo_type, one.repo_id) == (kind, name)]
    except CacheNotFound:
        return False
    return any(revision in {one.commit_hash, *one.refs} for repository in repositories for one in repository.revisions)


def _asked(kind: str, name: str, revision: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().auth_check(name, repo_type=kind)
        HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=_SECONDS)
    except GatedRepoError:
        return "gated"
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return "unknown"
    except Exception:  # whatever the network does, a fetch would meet it too
        return "unreachable"
    return "reachable"


def _hub_probe(what: str, kind: str, name: str, revision: str, state: str) -> Probe:
    found = f"{name} ({revision}) of the hub"
    if state == "cached":
        return Probe(what, State.ok, f"{found}: in the local cache")
    if state == "reachable":
        return Probe(what, State.ok, f"{found}: can be fetched")
    remedies = {
        "gated": _LOGIN,
        "unknown": f"correct its name or revision; a gated {kind} looks like this as well: {_LOGIN}",
        "unreachable": "fetch it on a machine with a network and copy the cache (HF_HOME), or name a local folder",
    }
    return Probe(what, State.missing, f"{found}: {state}", remedies[state])


def probe_corpus(corpus: CorpusSettings, root: Path, state_of: HubState, before: CorpusSettings | None = None) -> Probe:
    """Say whether the corpus is there; ``before`` is the one that the folder was last used with."""
    if corpus == before and (root / paths.CORPUS_POSTS).is_file():
        return Probe("corpus", State.ok, "read already")
    if corpus.source == "hub" and not (root / corpus.hub.dataset).is_dir():
        state = state_of("dataset", corpus.hub.dataset, corpus.hub.revision)
        return _hub_probe("corpus", "dataset", corpus.hub.dataset, corpus.hub.revision, state)
    if corpus.source == "files":
        files = [file for file in (corpus.files.posts, corpus.files.annotations) if file]
        missing = [file for file in files if not (root / file).is_file()]
        if missing:
            return Probe("corpus", State.missing, f"no file {', '.join(missing)}", "see docs/how-to/own-data.md")
    return Probe("corpus", State.ok, f"source {corpus.source}: here")


def probe_backbone(
    name: str, settings: BackboneSettings, root: Path, state_of: HubState, before: BackboneSettings | None = None
) -> Probe:
    """Say whether an encoder is there; ``before`` is the one that the folder was last used with under this name."""
    what = f"encoder {name}"
    if settings == before and (root / paths.BACKBONE_MANIFEST.format(backbone=name)).is_file():
        return Probe(what, State.ok, "prepared already")
    if isinstance(settings, HubBackbone):
        state = state_of("model", settings.model, settings.revision)
        return _hub_probe(what, "model", settings.model, settings.revision, state)
    if isinstance(settings, FolderBackbone):
        folder = root / settings.path
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
            remedy = "give a folder in Hugging Face layout with safetensors weights"
            return Probe(what, State.missing, f"{settings.path}: no configuration or no weights there", remedy)
        return Probe(what, State.ok, f"folder {settings.path}")
    return Probe(what, State.ok, "made from scratch")


def possible_values(configuration: Configuration, name: str) -> set[Any]:
    """Return the values that a parameter may have in a run of the study: of its searched spaces, or the fixed one."""
    study = StudyGraph(configuration)
    fixed = getattr(configuration.training.parameters, name, None)
    found: set[Any] = set()
    for architecture in study.architectures:
        for stage in study.stages_of(architecture):
            entry = study.searched_space(architecture, stage).root.get(name)
            found |= set(entry.choices) if isinstance(entry, Choices) else {fixed}
            if isinstance(entry, Choices) and entry.when:
                found.add(fixed)
    return found


def probe_augmentation(configuration: Configuration, root: Path) -> list[Probe]:
    """Say whether TextAttack's environment and WordNet are there, where runs may use them."""
    policies = possible_values(configuration, "augmentation")
    if not any("textattack" in str(policy) or policy == "one_of" for policy in policies):
        return []
    probes = []
    for what, path in (("TextAttack", paths.TEXTATTACK_ENVIRONMENT), ("WordNet", paths.NLTK_DATA)):
        if (root / path).exists():
            probes.append(Probe(what, State.ok, f"{path}: made already"))
        else:
            found = f"{path}: not made yet"
            probes.append(Probe(what, State.note, found, "the run makes it once; that needs a package registry"))
    return probes


def probe_optimizers(
    configuration: Configuration,
    is_there: Callable[[str], bool] = lambda name: importlib.util.find_spec(name) is not None,
) -> list[Probe]:
    """Say whether the package is there that AdamW in 8 bits needs, where runs may use it."""
    if "adamw_8bit" not in possible_values(configuration, "optimizer"):
        return []
    if is_there("bitsandbytes"):
        return [Probe("optimizer adamw_8bit", State.ok, "bitsandbytes is installed")]
    remedy = "pip install bitsandbytes, or leave adamw_8bit out of the space's optimizer choices"
    return [Probe("optimizer adamw_8bit", State.missing, "bitsandbytes is not installed", remedy)]
