"""A scripted OpenAI-compatible server on loopback: for our tests, the demo, and your own tests."""

from headroom.testing.answers import Answer, Failure, ToolCall
from headroom.testing.app import ScriptedApp
from headroom.testing.imitation import memory_block, remembering
from headroom.testing.requests import ReceivedRequest
from headroom.testing.server import ScriptedServer

__all__ = [
    "Answer",
    "Failure",
    "ReceivedRequest",
    "ScriptedApp",
    "ScriptedServer",
    "ToolCall",
    "memory_block",
    "remembering",
]
