"""What type checkers have to refuse: each line ends with what mypy and pyright call it."""

from openai import OpenAI

from headroom import with_memory

client = with_memory(OpenAI(), "alice")
client.memory.search(5)  # arg-type / reportArgumentType
client.memory.forget("m1")  # attr-defined / reportAttributeAccessIssue
client.chat.completions.create(model="gpt-4o")  # call-overload / reportCallIssue
with_memory(OpenAI(), user_id=5)  # call-overload / reportCallIssue
