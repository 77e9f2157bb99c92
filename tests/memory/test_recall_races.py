"""What goes while it is being recalled is left out, and the next best takes its place."""

from collections.abc import Sequence

from word_embedder import WordEmbedder

from headroom.memory import Engine, Memory, MemoryConfig
from headroom.memory.stores.sqlite import SqliteStore


class RemovingStore(SqliteStore):
    """A store from which somebody removes the best candidate just before it is loaded."""

    removed = 0

    def load(self, keys: Sequence[int]) -> dict[int, Memory]:
        if not self.removed:
            best = next(iter(super().load(keys[:1]).values()))
            self.removed = self.delete([best.id])
        return super().load(keys)


def test_a_memory_removed_during_the_recall_is_left_out(config: MemoryConfig, engine: Engine) -> None:
    memories = engine.add_many(
        [{"content": f"Likes tea number {number}", "user_id": "alice"} for number in range(5)]
    )
    with Engine(config) as other:
        other._store.close()
        other._store = RemovingStore(config, WordEmbedder().name)

        found = other.search("Likes tea number 3", "alice", top_k=2)

    assert len(found) == 2
    assert memories[3].id not in {memory.id for memory in found}
