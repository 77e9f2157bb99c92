# For type checkers: each SDK's client with its memory. Nothing of this exists at run time.

from groq import AsyncGroq, Groq
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from headroom.clients.memory import AsyncClientMemory, ClientMemory

class RememberingOpenAI(OpenAI):
    memory: ClientMemory

class RememberingAzureOpenAI(AzureOpenAI, RememberingOpenAI):
    memory: ClientMemory

class RememberingGroq(Groq):
    memory: ClientMemory

class RememberingAsyncOpenAI(AsyncOpenAI):
    memory: AsyncClientMemory

class RememberingAsyncAzureOpenAI(AsyncAzureOpenAI, RememberingAsyncOpenAI):
    memory: AsyncClientMemory

class RememberingAsyncGroq(AsyncGroq):
    memory: AsyncClientMemory
