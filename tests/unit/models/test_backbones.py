"""Preparing and loading encoders: each family from a tiny folder with random weights, the hub faked at its client."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    ElectraConfig,
    ElectraForPreTraining,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaTokenizer,
)

from evidence_hpo.config.backbones import FolderBackbone, HubBackbone, ScratchBackbone
from evidence_hpo.errors import DataError
from evidence_hpo.files import read_json
from evidence_hpo.models.backbones import load_encoder
from evidence_hpo.step import run_step
from evidence_hpo.steps.prepare_backbone import prepare_backbone
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.features import assemble, build_features
from evidence_hpo.tokens.tables import write_table
from evidence_hpo.tokens.tokenization import tokenize_table
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

POSTS = [
    "I can't sleep at all. Every night I lie awake, and every morning I am exhausted.",
    "Nothing is fun any more; I stopped painting and I don't answer my friends.",
    "Größe, naïve café: I eat too much and feel   worthless.\nEvery day is the same.",
] * 4
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SPAN = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))


def _word_pieces() -> dict[str, int]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(POSTS, trainer)
    return tokenizer.get_vocab()


def _bert(folder: Path) -> torch.nn.Module:
    tokenizer = BertTokenizer(vocab=_word_pieces())
    tokenizer.save_pretrained(folder)
    return BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **SIZE))


def _electra(folder: Path) -> torch.nn.Module:
    tokenizer = BertTokenizer(vocab=_word_pieces())
    tokenizer.save_pretrained(folder)
    config = ElectraConfig(vocab_size=len(tokenizer), embedding_size=8, max_position_embeddings=64, **SIZE)
    return ElectraForPreTraining(config)


def _roberta(folder: Path) -> torch.nn.Module:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(POSTS, trainer)
    content = json.loads(tokenizer.to_str())["model"]
    wrapped = RobertaTokenizer(vocab=content["vocab"], merges=[tuple(pair) for pair in content["merges"]])
    wrapped.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(wrapped), max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, **SIZE
    )
    return RobertaForMaskedLM(config)


def _xlm_roberta(folder: Path) -> torch.nn.Module:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(POSTS, trainer)
    pieces = [tuple(piece) for piece in json.loads(tokenizer.to_str())["model"]["vocab"]]
    wrapped = XLMRobertaTokenizer(vocab=[*pieces, ("<mask>", 0.0)])
    wrapped.save_pretrained(folder)
    config = XLMRobertaConfig(
        vocab_size=len(wrapped), max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, **SIZE
    )
    return XLMRobertaForMaskedLM(config)


def _deberta(folder: Path) -> torch.nn.Module:
    """As microsoft/deberta-v3-base: a SentencePiece model and no tokenizer.json."""
    (folder / "posts.txt").write_text("\n".join(post.replace("\n", " ") for post in POSTS), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "posts.txt"),
        model_prefix=str(folder / "spm"),
        vocab_size=60,
        hard_vocab_limit=False,
        **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
        **{"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
        user_defined_symbols=["[MASK]"],
        minloglevel=2,
    )
    for name in ("posts.txt", "spm.vocab"):
        (folder / name).unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    relative: dict[str, Any] = {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 16}
    config = DebertaV2Config(
        vocab_size=70,
        max_position_embeddings=64,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        **SIZE,
        **relative,
    )
    return DebertaV2ForMaskedLM(config)


FAMILIES: dict[str, Callable[[Path], torch.nn.Module]] = {
    "bert": _bert,
    "electra": _electra,
    "roberta": _roberta,
    "xlm-roberta": _xlm_roberta,
    "deberta-v2": _deberta,
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder of each family: a model with a head, and its tokeniser, as the hub has them."""
    root = tmp_path_factory.mktemp("sources")
    for seed, (family, build) in enumerate(FAMILIES.items()):
        torch.manual_seed(seed)
        (root / family).mkdir()
        build(root / family).save_pretrained(root / family)
    return {family: root / family for family in FAMILIES}


def prepared(folder: Path, settings: Any, posts: list[Path] | None = None, seed: int = 1) -> Path:
    prepare_backbone(
        name="tiny",
        settings=settings,
        seed=seed,
        posts=posts or [],
        directory=folder / "tiny",
        manifest=folder / "tiny.json",
    )
    return folder / "tiny"


@pytest.fixture(scope="module")
def backbones(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("prepared")
    return {family: prepared(root / family, FolderBackbone(path=str(path))) for family, path in sources.items()}


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.parquet"
    pq.write_table(pa.table({"post_id": [f"p{n:02d}" for n in range(len(POSTS))], "text": POSTS}), path)
    return path


def random_pairs(seed: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    words = [*" ".join(POSTS).split(), "🍕", "unseen", "漢字", "co-operate", "\n", "...", "3.14"]
    return [
        (" ".join(rng.choice(words, rng.integers(1, 6))), " ".join(rng.choice(words, rng.integers(0, 120))))
        for _ in range(12)
    ]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("max_length", "overlap"), [(64, 0.25), (100, 0.0), (80, 0.7)])
def test_windows_equal_those_of_hugging_face(
    tmp_path: Path, family: str, sources: dict[str, Path], backbones: dict[str, Path], max_length: int, overlap: float
) -> None:
    pairs = random_pairs(max_length)
    columns = {
        "example_id": [f"e{n}" for n in range(len(pairs))],
        "post_id": [f"p{n}" for n in range(len(pairs))],
        "criterion": [f"C{n}" for n in range(len(pairs))],
        "text": [text for _, text in pairs],
        "label": pa.array([0] * len(pairs), pa.int8()),
        "spans": pa.array([[]] * len(pairs), SPAN),
    }
    criteria = [{"id": f"C{n}", "text": text} for n, (text, _) in enumerate(pairs)]
    tokenizer = PreparedTokenizer(backbones[family])
    *batches, metadata = tokenize_table(
        pa.table(columns), criteria, tokenizer, task="evidence", backbone_digest="0" * 64, where="test"
    )
    files = tmp_path / "texts.arrow", tmp_path / "examples.arrow"
    for file, batch in zip(files, batches, strict=True):
        write_table(file, batch, metadata)
    cache = TokenCache.open(*files)
    features = build_features(cache, np.arange(len(cache)), max_length=max_length, overlap=overlap)
    reference = AutoTokenizer.from_pretrained(sources[family])
    for number, (criterion, text) in enumerate(pairs):
        windows = np.flatnonzero(features.example == number)
        room = max_length - int(features.criterion_length[windows[0]]) - cache.template.size
        encoded = reference(
            criterion,
            text,
            truncation="only_second",
            max_length=max_length,
            stride=room - max(1, int(np.floor(room * (1 - overlap)))),
            return_overflowing_tokens=True,
        )
        batch = assemble(cache, features, windows)
        rows = [ids[mask == 1].tolist() for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)]
        assert rows == encoded["input_ids"]
        if cache.token_types:
            types = [
                kinds[mask == 1].tolist()
                for kinds, mask in zip(batch.token_type_ids, batch.attention_mask, strict=True)
            ]
            assert types == encoded["token_type_ids"]
    assert len(features) > len(pairs), "no text was long enough for a second window"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prepared_encoder_computes_what_its_source_computes(
    family: str, sources: dict[str, Path], backbones: dict[str, Path]
) -> None:
    reference = AutoModel.from_pretrained(sources[family]).eval()
    encoder = load_encoder(backbones[family], dropout=0.3)
    ids = torch.arange(5, 35).view(2, 15)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    with torch.no_grad():
        expected = reference(input_ids=ids, attention_mask=mask).last_hidden_state
        computed = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(computed, expected, rtol=0, atol=0)
    assert not encoder.training
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    assert {module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)} == {0.3}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prepared_directory_holds_encoder_and_fast_tokeniser_only(
    family: str, sources: dict[str, Path], backbones: dict[str, Path]
) -> None:
    directory = backbones[family]
    assert {path.name for path in directory.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    names = " ".join(load_file(directory / "model.safetensors"))
    assert not [word for word in ("pooler", "classifier", "lm_head", "predictions") if word in names]
    for path in directory.glob("*.json"):
        assert str(sources[family].parent) not in path.read_text(), "a path of this machine"
    again = AutoTokenizer.from_pretrained(directory)
    source = AutoTokenizer.from_pretrained(sources[family])
    assert again.is_fast
    for first, second in random_pairs(0):
        assert again(first, second)["input_ids"] == source(first, second)["input_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_manifest_describes_the_encoder_and_its_longest_input(family: str, backbones: dict[str, Path]) -> None:
    manifest = read_json(backbones[family].with_suffix(".json"))
    assert (manifest["source"], manifest["model_type"]) == ("folder", family)
    assert (manifest["layers"], manifest["hidden"], manifest["max_positions"]) == (2, 16, 64)
    encoder = load_encoder(backbones[family], dropout=0.0)
    assert encoder(input_ids=torch.full((1, 64), 5)).last_hidden_state.shape == (1, 64, 16)
    assert manifest["parameters"] == sum(weight.numel() for weight in encoder.parameters())


def test_preparing_twice_gives_one_digest_and_half_precision_becomes_float32(
    tmp_path: Path, sources: dict[str, Path], backbones: dict[str, Path]
) -> None:
    prepared(tmp_path / "again", FolderBackbone(path=str(sources["bert"])))
    manifests = [read_json(path) for path in (backbones["bert"].with_suffix(".json"), tmp_path / "again/tiny.json")]
    assert manifests[0] == manifests[1]
    half = tmp_path / "half"
    shutil.copytree(sources["bert"], half)
    weights = load_file(half / "model.safetensors")
    save_file({name: weight.half() for name, weight in weights.items()}, half / "model.safetensors", {"format": "pt"})
    stored = load_file(prepared(tmp_path / "single", FolderBackbone(path=str(half))) / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.float32}


def _without(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink()


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _incomplete(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("bert.encoder.layer.1.attention.self.query.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _other_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))


def _remote_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="homemade", auto_map={"AutoConfig": "code.C", "AutoModel": "code.M"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('remote code ran')")


def _larger_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"extra{n}" for n in range(500)])
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: _without(folder, "config.json"), "no config.json"),
        (lambda folder: _without(folder, "tokenizer.json", "tokenizer_config.json"), "no tokeniser, needs one of"),
        (lambda folder: _without(folder, "model.safetensors"), r"no model.safetensors; convert it"),
        (_pickled, r"only pickled weights.*save_pretrained"),
        (_incomplete, r"weights of a bert encoder are missing.*layer.1.attention.self.query.weight"),
        (_other_shape, r"weights|not an encoder"),
        (_remote_code, r"cannot be read|not an encoder"),
        (_larger_tokenizer, r"the tokeniser has \d+ tokens, the encoder embeds"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "not an encoder that can be loaded"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "the tokeniser cannot be read"),
    ],
)
def test_a_folder_that_will_not_do_is_refused_in_one_line(
    tmp_path: Path, sources: dict[str, Path], damage: Callable[[Path], Any], message: str
) -> None:
    shutil.copytree(sources["bert"], tmp_path / "source")
    damage(tmp_path / "source")
    with pytest.raises(DataError, match=message) as caught:
        prepared(tmp_path / "out", FolderBackbone(path=str(tmp_path / "source")))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "tiny").exists()
    assert not (tmp_path / "out" / "tiny.json").exists()


SCRATCH = ScratchBackbone(vocabulary=200, hidden=32, layers=1, heads=2, intermediate=32, max_positions=64)


def test_a_backbone_from_scratch_is_a_small_deberta_that_depends_on_its_seed(tmp_path: Path, posts: Path) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    directories = [prepared(tmp_path / str(n), SCRATCH, [posts], seed) for n, seed in enumerate((1, 1, 2))]
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
    digests = [read_json(directory.with_suffix(".json"))["digest"] for directory in directories]
    assert digests[0] == digests[1] != digests[2]
    encoder = load_encoder(directories[0], dropout=0.0)
    config = encoder.config
    assert (config.model_type, config.relative_attention, config.position_biased_input) == ("deberta-v2", True, False)
    assert (config.share_att_key, config.norm_rel_ebd, sorted(config.pos_att_type)) == (
        True,
        "layer_norm",
        ["c2p", "p2c"],
    )
    assert encoder(input_ids=torch.full((1, 64), 5)).last_hidden_state.shape == (1, 64, 32)
    tokenizer = PreparedTokenizer(directories[0])
    assert (tokenizer.pad, tokenizer.cls, tokenizer.sep) == (0, 1, 2)


def test_the_order_of_words_matters_to_a_backbone_from_scratch(tmp_path: Path, posts: Path) -> None:
    encoder = load_encoder(prepared(tmp_path, SCRATCH, [posts]), dropout=0.0)
    with torch.no_grad():
        one = encoder(input_ids=torch.tensor([[1, 20, 21, 22, 2]])).last_hidden_state
        other = encoder(input_ids=torch.tensor([[1, 22, 21, 20, 2]])).last_hidden_state
    assert (one[0, 0] - other[0, 0]).abs().max() > 1e-5


def test_pretraining_lowers_the_loss_and_is_repeatable(tmp_path: Path, posts: Path) -> None:
    settings = SCRATCH.model_copy(update={"pretraining_epochs": 12})
    manifests = []
    for number, threads in enumerate((1, 2)):
        torch.set_num_threads(threads)
        prepared(tmp_path / str(number), settings, [posts])
        manifests.append(read_json(tmp_path / str(number) / "tiny.json"))
    torch.set_num_threads(1)
    assert manifests[0] == manifests[1], "the number of threads changed the weights"
    losses = manifests[0]["pretraining"]["losses"]
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 0.5


def test_scratch_without_posts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs the training posts"):
        prepared(tmp_path, SCRATCH)
    with pytest.raises(DataError, match=r"none.parquet: no such file"):
        prepared(tmp_path, SCRATCH, [tmp_path / "none.parquet"])


class FakeResponse:
    status_code = 403
    headers: dict[str, str] = {}  # noqa: RUF012
    request = None
    url = "https://hub"
    text = ""


def test_a_hub_model_is_fetched_at_its_revision_and_safe_files_only(
    tmp_path: Path, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "a" * 40
    shutil.copytree(sources["roberta"], tmp_path / commit)
    asked: dict[str, Any] = {}

    def snapshot_download(model: str, **options: Any) -> str:
        asked.update(options, model=model)
        return str(tmp_path / commit)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    prepared(tmp_path / "out", HubBackbone(model="roberta-base", revision="v1"))
    assert (asked["model"], asked["revision"]) == ("roberta-base", "v1")
    assert not [pattern for pattern in asked["allow_patterns"] if pattern.endswith((".bin", ".py", ".pt", "*"))]
    manifest = read_json(tmp_path / "out" / "tiny.json")
    assert (manifest["model"], manifest["revision"], manifest["commit"]) == ("roberta-base", "v1", commit)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GatedRepoError", "gated; accept its terms"),
        ("RevisionNotFoundError", "no such revision"),
        ("RepositoryNotFoundError", "no such model, or it is private"),
        ("HfHubHTTPError", "download failed"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, message: str
) -> None:
    from huggingface_hub import errors

    def snapshot_download(model: str, **options: Any) -> str:
        raise getattr(errors, error)("first\nsecond", response=FakeResponse())

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(DataError, match=rf"hub model 'org/model' \(main\): .*{message}") as caught:
        prepared(tmp_path, HubBackbone(model="org/model"))
    assert "\n" not in str(caught.value)


def test_an_unreachable_hub_and_an_impossible_id_are_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"the hub cannot be reached and the model is not in the local cache"):
        prepared(tmp_path, HubBackbone(model="microsoft/deberta-v3-base"))
    with pytest.raises(DataError, match=r"not a model id"):
        prepared(tmp_path, HubBackbone(model="a/b/c d"))


def test_a_hub_model_without_safetensors_names_a_revision_that_has_them(
    tmp_path: Path, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sources["bert"], tmp_path / "snapshot")
    (tmp_path / "snapshot" / "model.safetensors").unlink()

    class Api:
        def list_repo_refs(self, model: str, include_pull_requests: bool) -> Any:
            reference = type("Reference", (), {"ref": "refs/pr/7"})
            return type("References", (), {"pull_requests": [reference] if include_pull_requests else None})

        def list_repo_files(self, model: str, revision: str) -> list[str]:
            return ["config.json", "model.safetensors"]

    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: str(tmp_path / "snapshot"))
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    with pytest.raises(DataError, match=r"no safetensors weights; revision 'refs/pr/7' has them.*save_pretrained"):
        prepared(tmp_path / "out", HubBackbone(model="microsoft/deberta-v3-base"))


def test_the_step_reads_its_settings_as_json(tmp_path: Path, posts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def arguments(settings: dict[str, Any]) -> list[str]:
        paths = [
            "--directory",
            str(tmp_path / "b"),
            "--manifest",
            str(tmp_path / "b.json"),
            "--log",
            str(tmp_path / "l"),
        ]
        return ["--name", "b", "--settings", json.dumps(settings), "--seed", "3", "--posts", str(posts), *paths]

    command = [sys.executable, "-m", "evidence_hpo.steps.prepare_backbone", *arguments(SCRATCH.model_dump())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read_json(tmp_path / "b.json")["source"] == "scratch"
    assert all(line.startswith(("backbone", "prepare_backbone")) for line in done.stderr.splitlines()), done.stderr
    with pytest.raises(SystemExit) as caught:
        run_step(prepare_backbone, arguments({"source": "scratch", "hidde": 3}))
    assert caught.value.code == 2
    assert "scratch.hidde" in capsys.readouterr().err
