"""LoCoMo's conversations: turns, and questions with the turns that answer them.

Maharana et al., ACL 2024; snap-research/locomo, licence CC BY-NC 4.0, not part of this project.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}


@dataclass(frozen=True)
class Question:
    """What is asked, and which turns answer it."""

    text: str
    gold: frozenset[str]
    category: int


@dataclass(frozen=True)
class Conversation:
    """Turns by their names, in their order, and the questions about them."""

    name: str
    turns: dict[str, dict[str, Any]]
    """Arguments of `Engine.add`."""
    questions: list[Question]


def conversations(path: Path) -> list[Conversation]:
    """Read a LoCoMo file; evidence that names no turn is dropped."""
    return [_conversation(sample) for sample in json.loads(path.read_text(encoding="utf-8"))]


def _conversation(sample: dict[str, Any]) -> Conversation:
    talk = sample["conversation"]
    sessions = sorted(
        (key for key in talk if re.fullmatch(r"session_\d+", key)), key=lambda key: int(key[8:])
    )
    turns = {
        turn["dia_id"]: {
            "content": f"{turn['speaker']}: {turn['text']}"
            + (f" ({turn['blip_caption']})" if turn.get("blip_caption") else ""),
            "user_id": sample["sample_id"],
            "session_id": session,
            "valid_from": datetime.strptime(talk[f"{session}_date_time"], "%I:%M %p on %d %B, %Y").replace(
                tzinfo=UTC
            ),
        }
        for session in sessions
        for turn in talk[session]
    }
    questions = [
        Question(item["question"], frozenset(gold), item["category"])
        for item in sample["qa"]
        if (
            gold := [name for text in item["evidence"] for name in re.split(r"[;\s]+", text) if name in turns]
        )
    ]
    return Conversation(sample["sample_id"], turns, questions)
