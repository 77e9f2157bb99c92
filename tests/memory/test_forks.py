"""An engine made before a fork serves both sides of it."""

import os
import subprocess
import sys

import pytest

FORKING = """
import os, sys
from headroom.memory import Engine, MemoryConfig, MemoryFilter

engine = Engine(MemoryConfig(db_path=sys.argv[1]))
engine.add("Stored before the fork", "alice")
engine.search("before", "alice")
children = []
for number in range(3):
    if not (child := os.fork()):
        found = engine.search("before the fork", "alice", top_k=1)
        assert [memory.content for memory in found] == ["Stored before the fork"], found
        for step in range(5):
            engine.add(f"Stored by child {number}, step {step}", "alice")
        engine.close()
        os._exit(0)
    children.append(child)
for step in range(5):
    engine.add(f"Stored by the parent, step {step}", "alice")
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
assert engine.count("alice") == 21, engine.count("alice")
found = engine.search("Stored by child 2, step 4", "alice", top_k=1)
assert found[0].content == "Stored by child 2, step 4", found
engine.close()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_parent_and_children_read_what_any_of_them_wrote(tmp_path: object) -> None:
    output = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, f"{tmp_path}/memory.db"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (output.stdout, output.returncode) == ("done\n", 0), output.stderr
