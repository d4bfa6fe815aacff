"""Banks of toy variants for the tiny corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from evidence_hpo.augmentation.banks import BANK
from evidence_hpo.augmentation.examples import varied_examples
from evidence_hpo.augmentation.items import items_of
from evidence_hpo.config.augmentation import METHODS, STRENGTH_LEVELS
from evidence_hpo.config.banks import UNVARIED, Bank, Variation, banks_of_run
from evidence_hpo.config.policies import ORIGINAL
from evidence_hpo.files import digest_directory
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.tokenization import tokenize_bank
from evidence_hpo.tokens.tokenizer import PreparedTokenizer
from evidence_hpo.training.spec import RunInputs

FILLER = ["we", "went", "home", "and", "the", "dog", "ran", "over", "a", "green", "hill", "while", "it", "rained"]


def toy_bank(examples: pa.Table, bank: Bank, *, variants: int = 3) -> pa.Table:
    """Return a bank whose variants are random words, other ones for each method, level and source."""
    sources = [UNVARIED]
    if bank.source != ORIGINAL:
        sources = [Variation(method, level) for method in METHODS[bank.source] for level in range(STRENGTH_LEVELS)]
    rows = []
    for item in items_of(examples, whole_text=False):
        for source in sorted(sources):
            for variant in range(variants):
                rng = np.random.default_rng([*f"{item.item_id}{bank}{source}{variant}".encode()])
                text = " ".join(rng.choice(FILLER, 4)) if rng.random() < 0.9 else None
                rows.append([item.item_id, *source, variant, text, None if text else "unchanged"])
    columns = zip(zip(*rows, strict=True), BANK.types, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in columns], schema=BANK)


@dataclass
class Banks:
    """Tokenised banks of the training examples of both tasks, made when first asked for."""

    inputs: dict[str, RunInputs]
    examples: pa.Table
    criteria: list[dict[str, str]]
    made: dict[tuple[str, str, Bank], TokenBank] = field(default_factory=dict)

    def of(self, backbone: str, task: str, bank: Bank) -> TokenBank:
        key = backbone, task, bank
        if key not in self.made:
            made = toy_bank(self.examples, bank)
            varied = varied_examples(self.examples, self.examples, made, whole_text=False, where=str(bank))
            folder = self.inputs[backbone].backbone
            tokenizer, digest = PreparedTokenizer(folder), digest_directory(folder)
            tables = tokenize_bank(
                varied, self.criteria, tokenizer, bank=bank, task=task, backbone_digest=digest, where=str(bank)
            )
            self.made[key] = TokenBank(*tables)
        return self.made[key]

    def given(self, backbone: str, parameters: Mapping[str, Any]) -> RunInputs:
        """Return the inputs of a run with the banks that its parameters use."""
        inputs, used = self.inputs[backbone], banks_of_run(parameters)
        banks = {task: tuple(self.of(backbone, task, bank) for bank in used) for task in inputs.train} if used else {}
        return replace(inputs, banks=banks)
