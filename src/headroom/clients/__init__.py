"""Clients that remember: proxies around OpenAI-shaped clients."""

from headroom.clients.memory import AsyncClientMemory, ClientMemory
from headroom.clients.wrapping import with_memory

__all__ = ["AsyncClientMemory", "ClientMemory", "with_memory"]
