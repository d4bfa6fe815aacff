"""Runs in TextAttack's environment: answers one JSON request a line, so that it is imported once for many tests.

A request is [method, strength, seed, sentence], and perhaps a mapping of resources; an answer is the variant, or
{"error": class} of what the method raised, or its message where it is one of ours.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from evidence_hpo.augmentation.textattack import TextAttackFamily
from evidence_hpo.errors import EvidenceHpoError


def main() -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr
    family = TextAttackFamily(Path(sys.argv[1]))
    methods = {}
    for line in sys.stdin:
        name, strength, seed, sentence, *rest = json.loads(line)
        try:
            key = json.dumps([name, *rest])
            if key not in methods:
                methods[key] = family.method(name, *rest or [{}])
            answer = methods[key].vary(sentence, strength, seed)
        except EvidenceHpoError as error:
            answer = {"error": str(error)}
        except Exception as error:
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
