"""The TextAttack family: the only module that imports TextAttack, and only when a method is opened.

TextAttack 0.3.11 chooses by the global generators of ``random`` and numpy, so both are seeded for every variant; some
methods also go through sets of strings, so the process must have been started with ``PYTHONHASHSEED=0``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import random
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evidence_hpo.augmentation.vectors import Neighbours, read_vectors
from evidence_hpo.config.base import suggestion
from evidence_hpo.config.textattack import TEXTATTACK_METHODS
from evidence_hpo.errors import ConfigurationError, DataError

__all__ = ["TextAttackFamily", "textattack_versions"]

_AUGMENTERS = {
    "wordnet": "WordNetAugmenter",
    "synonym_insertion": "SynonymInsertionAugmenter",
    "word_deletion": "DeletionAugmenter",
    "word_swap": "SwapAugmenter",
    "char_swap": "CharSwapAugmenter",
    "easy_data": "EasyDataAugmenter",
}
# Transformation and its arguments; each changes one place, chosen at random.
_TRANSFORMATIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "qwerty": ("WordSwapQWERTY", {}),
    "neighbour_char_swap": ("WordSwapNeighboringCharacterSwap", {}),
    "char_deletion": ("WordSwapRandomCharacterDeletion", {}),
    "char_insertion": ("WordSwapRandomCharacterInsertion", {}),
    "char_substitution": ("WordSwapRandomCharacterSubstitution", {}),
    "change_number": ("WordSwapChangeNumber", {}),
    "contract": ("WordSwapContract", {}),
    "extend": ("WordSwapExtend", {}),
    "invisible_characters": ("WordSwapInvisibleCharacters", {"random_one": True}),
    "invisible_deletions": ("WordSwapDeletions", {"random_one": True}),
    "invisible_reorderings": ("WordSwapReorderings", {"random_one": True}),
}
_OF_STOP_WORDS = ("change_number", "contract", "extend")
"""Methods that change stop words, as "do not" and "seven"."""

_ATTACKS = {"deepwordbug": "DeepWordBugGao2018", "pwws": "PWWSRen2019", "iga": "IGAWang2019"}
_LONGEST_INPUT = 128
"""Tokens of a model's input; TextAttack pads every input to it."""

_CANDIDATES = 50
"""Neighbours of a word that may take its place, as in TextAttack's own recipes."""


class TextAttackFamily:
    """TextAttack, imported once, without a network and without a GPU.

    Args:
        nltk_data: Folder that ``prepare_wordnet`` made.

    Raises:
        ConfigurationError: The process was started without ``PYTHONHASHSEED=0``, or TextAttack is not installed.
    """

    def __init__(self, nltk_data: Path) -> None:
        if os.environ.get("PYTHONHASHSEED") != "0":
            raise ConfigurationError("PYTHONHASHSEED: must be 0, or TextAttack's results would differ from run to run")
        self._cache = tempfile.TemporaryDirectory(prefix="textattack-")
        # TextAttack downloads nltk's data when first imported, unless this file says that it did.
        Path(self._cache.name, "post_install_check_3").touch()
        os.environ["TA_CACHE_DIR"] = self._cache.name
        os.environ["NLTK_DATA"] = str(nltk_data.resolve())
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", CUDA_VISIBLE_DEVICES="", FLAIR_CACHE_ROOT="")
        try:
            # Some methods have nltk download what they do not need, whenever they are made.
            nltk: Any = importlib.import_module("nltk")
            nltk.download = _no_download
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                self._library = importlib.import_module("textattack")
            jieba = importlib.import_module("jieba")
        except ImportError as error:
            raise ConfigurationError(f"TextAttack cannot be imported ({error}); run rule build_textattack") from error
        jieba.setLogLevel("ERROR")
        jieba.dt.tmp_dir = self._cache.name
        self._recipes = importlib.import_module("textattack.augmentation.recipes")

    def method(self, name: str, resources: Mapping[str, str]) -> _Augmenting | _Attacking:
        """Return a method.

        Args:
            name: As in ``TEXTATTACK_METHODS``.
            resources: Paths of what it needs beside WordNet.

        Raises:
            ConfigurationError: The method is unknown, cannot be used, or lacks a resource.
            DataError: A resource cannot be read.
        """
        described = TEXTATTACK_METHODS.get(name)
        if described is None:
            raise ConfigurationError(f"--method: no TextAttack method '{name}'{suggestion(name, TEXTATTACK_METHODS)}")
        if described.unusable:
            raise ConfigurationError(f"--method: {name}: cannot be used: {described.unusable}")
        missing = sorted(set(described.needs) - {"wordnet", *resources})
        if missing:
            raise ConfigurationError(f"--method: {name}: needs augmentation.{missing[0]}, which is not given")
        if name in _ATTACKS:
            return _Attacking(name, self._attack(name, resources), self._library)
        return _Augmenting(name, *self._parts(name, resources))

    def _parts(self, name: str, resources: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
        """Return the class of a method's augmenter and its arguments but the strength."""
        if name in _AUGMENTERS:
            return getattr(self._recipes, _AUGMENTERS[name]), {}
        before = importlib.import_module("textattack.constraints.pre_transformation")
        constraints = [before.RepeatModification()]
        if name not in _OF_STOP_WORDS:
            constraints.append(before.StopwordModification())
        if name == "embedding":
            transformation, distance = self._embedding(Path(resources["embedding"]))
            constraints.append(distance)
        elif name in ("masked_lm_swap", "masked_lm_insertion"):
            transformation = self._masked_lm(name, Path(resources["masked_lm"]))
        else:
            kind, arguments = _TRANSFORMATIONS[name]
            transformation = getattr(self._library.transformations, kind)(**arguments)
        return self._library.augmentation.Augmenter, {"transformation": transformation, "constraints": constraints}

    def _vectors(self, path: Path) -> Any:
        words, matrix = read_vectors(path)
        by_word, by_number = {word: number for number, word in enumerate(words)}, dict(enumerate(words))
        return self._library.shared.WordEmbedding(matrix, by_word, by_number, Neighbours(matrix, _CANDIDATES))

    def _embedding(self, path: Path) -> tuple[Any, Any]:
        """Return the transformation and constraint of TextAttack's EmbeddingAugmenter, with the vectors of a file."""
        vectors = self._vectors(path)
        semantics = importlib.import_module("textattack.constraints.semantics")
        transformation = self._library.transformations.WordSwapEmbedding(max_candidates=_CANDIDATES, embedding=vectors)
        return transformation, semantics.WordEmbeddingDistance(embedding=vectors, min_cos_sim=0.8)

    def _masked_lm(self, name: str, folder: Path) -> Any:
        transformers = importlib.import_module("transformers")
        model, tokenizer = _loaded(folder, transformers.AutoModelForMaskedLM, "masked_lm")
        longest = tokenizer.model_max_length
        arguments = {"masked_language_model": model, "tokenizer": tokenizer, "max_length": longest}
        if name == "masked_lm_swap":
            return self._library.transformations.WordSwapMaskedLM(method="bae", **arguments)
        return self._library.transformations.WordInsertionMaskedLM(**arguments)

    def _attack(self, name: str, resources: Mapping[str, str]) -> Any:
        if "embedding" in TEXTATTACK_METHODS[name].needs:
            # Recipes take their vectors from this place, where they would put those that they download.
            place = "textattack_counterfitted_GLOVE_embedding"
            self._library.shared.utils.GLOBAL_OBJECTS[place] = self._vectors(Path(resources["embedding"]))
        transformers = importlib.import_module("transformers")
        model, tokenizer = _loaded(Path(resources["victim"]), transformers.AutoModelForSequenceClassification, "victim")
        wrapper = self._library.models.wrappers.HuggingFaceModelWrapper(model, tokenizer)
        return getattr(self._library.attack_recipes, _ATTACKS[name]).build(wrapper)


def _loaded(folder: Path, kind: Any, key: str) -> tuple[Any, Any]:
    transformers = importlib.import_module("transformers")
    try:
        model = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataError(
            f"augmentation.{key}: {folder}: not a model with its tokeniser ({type(error).__name__}); write both with "
            "save_pretrained"
        ) from error
    # Some encoders leave two positions of their longest input unused.
    positions = getattr(model.config, "max_position_embeddings", _LONGEST_INPUT + 2)
    tokenizer.model_max_length = min(_LONGEST_INPUT, positions - 2)
    return model.eval(), tokenizer


def _no_download(*_: Any, **__: Any) -> bool:
    return False


def _reseed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)


class _Augmenting:
    """A method that changes a share of the words; see :class:`evidence_hpo.augmentation.methods.Method`."""

    def __init__(self, name: str, kind: Any, arguments: dict[str, Any]) -> None:
        self.name = name
        self._kind = kind
        self._arguments = arguments
        self._augmenters: dict[float, Any] = {}

    def vary(self, sentence: str, strength: float, seed: int) -> str:
        """Return a variant of ``sentence``."""
        if strength not in self._augmenters:
            made = self._kind(pct_words_to_swap=strength, transformations_per_example=1, **self._arguments)
            self._augmenters[strength] = made
        _reseed(seed)
        variants: list[str] = self._augmenters[strength].augment(sentence)
        return variants[0]


class _Attacking:
    """An attack on a classifier; only texts that change its mind are variants.

    The strength limits the share of words that may be changed.
    """

    def __init__(self, name: str, attack: Any, library: Any) -> None:
        self.name = name
        self._attack = attack
        self._library = library
        self._own_constraints = list(attack.constraints)

    def vary(self, sentence: str, strength: float, seed: int) -> str:
        """Return a variant of ``sentence``; itself where the attack fails."""
        overlap = importlib.import_module("textattack.constraints.overlap")
        limit = overlap.MaxWordsPerturbed(max_percent=max(strength, 1 / max(1, len(sentence.split()))))
        self._attack.constraints = [*self._own_constraints, limit]
        self._attack.clear_cache()
        _reseed(seed)
        label = int(self._attack.goal_function.model([sentence])[0].argmax())
        result = self._attack.attack(sentence, label)
        succeeded = isinstance(result, self._library.attack_results.SuccessfulAttackResult)
        return str(result.perturbed_text()) if succeeded else sentence


def textattack_versions() -> dict[str, str]:
    """Return the versions of the packages that the family's variants depend on."""
    names = ("textattack", "nltk", "numpy", "torch", "transformers", "jieba", "num2words", "word2number")
    return {name: importlib.metadata.version(name) for name in names}
