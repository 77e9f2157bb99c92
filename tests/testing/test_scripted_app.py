"""The server without a socket, behind httpx's ASGI transport."""

import httpx2
import pytest
from openai import AsyncOpenAI

from headroom.testing import Answer, ScriptedApp
from headroom.testing.errors import ConnectionCutError

pytestmark = pytest.mark.anyio

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_application_needs_no_socket() -> None:
    app = ScriptedApp("Paris.")
    async with (
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http,
        AsyncOpenAI(base_url="http://app/v1", api_key="k", http_client=http) as client,
    ):
        whole = await client.chat.completions.create(model="gpt-4o", messages=QUESTION)
        body = {"model": "gpt-4o", "messages": QUESTION, "stream": True}
        streamed = (await http.post("http://app/v1/chat/completions", json=body)).text
    assert whole.choices[0].message.content == "Paris."
    assert streamed.startswith("data: {")
    assert streamed.endswith("data: [DONE]\n\n")
    assert len(app.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_is_raised_to_the_transport(*, stream: bool) -> None:
    app = ScriptedApp(Answer("Paris.", cut_after=0))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        body = {"model": "gpt-4o", "messages": QUESTION, "stream": stream}
        with pytest.raises(ConnectionCutError):
            await http.post("http://app/v1/chat/completions", json=body)
