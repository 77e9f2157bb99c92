"""Embedders: what turns texts into vectors.

Importing this package imports none of the libraries that the embedders run on; each is loaded at its first
use.
"""

from headroom.memory.embedders.embeddings import Embeddings
from headroom.memory.embedders.selection import create_embedder

__all__ = ["Embeddings", "create_embedder"]
