"""Persistent memory for LLM applications.

`with_memory` wraps a client, `headroom.asgi` and `headroom.wsgi` scope a web application, `remember` an
agent's function; `headroom.memory` is the engine behind, and `headroom.errors` all that can go wrong.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headroom.scope import ANONYMOUS, Scope, bind, current_scope

if TYPE_CHECKING:
    from headroom.clients import AsyncClientMemory, ClientMemory, with_memory
    from headroom.current import current_memory
    from headroom.decorators import Arg, carry, remember
    from headroom.exchange import ExchangeTrace
    from headroom.memory import Engine, HierarchicalMemory, Memory, MemoryCategory, MemoryConfig, MemoryFilter
    from headroom.turns import turn

__all__ = [
    "ANONYMOUS",
    "Arg",
    "AsyncClientMemory",
    "ClientMemory",
    "Engine",
    "ExchangeTrace",
    "HierarchicalMemory",
    "Memory",
    "MemoryCategory",
    "MemoryConfig",
    "MemoryFilter",
    "Scope",
    "bind",
    "carry",
    "current_memory",
    "current_scope",
    "remember",
    "turn",
    "with_memory",
]

# Imported when they are asked for: numpy and anyio take longer than all of this package.
_LAZY = {
    "Arg": "decorators",
    "AsyncClientMemory": "clients",
    "ClientMemory": "clients",
    "Engine": "memory",
    "ExchangeTrace": "exchange",
    "HierarchicalMemory": "memory",
    "Memory": "memory",
    "MemoryCategory": "memory",
    "MemoryConfig": "memory",
    "MemoryFilter": "memory",
    "carry": "decorators",
    "current_memory": "current",
    "remember": "decorators",
    "turn": "turns",
    "with_memory": "clients",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
