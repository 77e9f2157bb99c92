"""What the memory costs in tokens: the instruction, what is injected, and what the model writes.

    python benchmarks/prompt_tokens.py

Counted with the vocabularies of OpenAI's models, which the package bpe-openai brings along (tiktoken would
have to download them). Writes `results/prompt_tokens.md` beside this file.
"""

import json
from datetime import UTC, datetime

import bpe_openai
from measuring import RESULTS, table

from headroom.memory import Memory
from headroom.prompting.injection import estimate_tokens, inject
from headroom.prompting.instruction import INSTRUCTION

VOCABULARIES = {"o200k_base": "GPT-4o and later", "cl100k_base": "GPT-4"}
INSTRUCTION_LIMIT = 200
BLOCK_LIMIT = 100

NOTES = [
    {"content": "Prefers Python for backend work", "category": "preference", "importance": 0.8},
    {"content": "Works as a senior engineer at a fintech startup", "category": "fact", "importance": 0.7},
]
CONTENTS = [
    "Prefers Python for backend work",
    "Works as a senior engineer at a fintech startup",
    "Is migrating the billing service to microservices",
    "Project Apollo uses React and a GraphQL gateway",
    "Chose PostgreSQL over MySQL for its JSON support",
    "Tends to prefer typed languages, e.g. TypeScript and Rust",
    "Team lead is Sarah; she reviews every schema change",
    "Likes short answers with an example",
    "Deploys on Fridays only in an emergency",
    "Is learning Japanese and lives in Lisbon",
]


def block(count: int) -> str:
    """What a model appends that noted so many things."""
    return f"<memory>{json.dumps({'memories': NOTES[:count]})}</memory>"


def injected(count: int) -> str:
    """What is put before a message when so many memories fit it."""
    now = datetime.now(UTC)
    memories = [
        Memory(id=str(n), content=content, user_id="alice", created_at=now, valid_from=now)
        for n, content in enumerate(CONTENTS[:count])
    ]
    return inject(memories, 10_000).text


def main() -> None:
    """Count, print and write."""
    encodings = {name: bpe_openai.get_encoding(name) for name in VOCABULARIES}

    def counts(text: str) -> list[int]:
        return [len(encoding.encode_ordinary(text)) for encoding in encodings.values()]

    texts = {
        "the instruction, in every call": INSTRUCTION,
        "a block with one note": block(1),
        "a block with two notes": block(2),
        "one memory injected": injected(1),
        "five memories injected": injected(5),
        "ten memories injected": injected(10),
    }
    rows = [[what, *map(str, counts(text)), str(estimate_tokens(text))] for what, text in texts.items()]
    lines = table(["tokens", *(f"{name} ({of})" for name, of in VOCABULARIES.items()), "estimated"], rows)
    print("\n".join(lines))
    (RESULTS / "prompt_tokens.md").write_text("\n".join([*lines, ""]))
    worst, typical = max(counts(INSTRUCTION)), max(counts(block(2)))
    print(f"the instruction: {worst} of {INSTRUCTION_LIMIT}; a typical block: {typical} of {BLOCK_LIMIT}")
    if worst > INSTRUCTION_LIMIT or typical > BLOCK_LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
