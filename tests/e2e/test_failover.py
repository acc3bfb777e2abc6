"""A pool that loses its first backend under load: nobody whose answer has not begun notices, and it comes back."""

import asyncio
import json
import signal
import socket

import pytest
from processes import Gateway, Processes, Upstream, wait_for

STREAMS = 200
MODEL = "gpt-4o"
STAND_IN = "claude-sonnet-4-5"
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Count the waves"}]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Pool:
    """A first backend that can be killed and started again, and one that stands in for it."""

    def __init__(self, processes: Processes):
        self.processes = processes
        self.port = free_port()
        # Nobody who has its first word gets the second before it is killed.
        self.first = self.start_first(token_delay_ms=600_000)
        second = processes.cloud("anthropic", api_key="sk-ant-second", models=STAND_IN)
        settings = {
            "listen": {"host": "127.0.0.1", "port": 0},
            "metrics": {"port": 0},
            "log": {"json": True},
            "workers": [
                backend("first", "openai", self.first.url, "sk-first", MODEL),
                backend("second", "anthropic", second.url, "sk-ant-second", STAND_IN),
            ],
            "pools": [{"name": "both", "fallback": True, "backends": [{"name": "first"}, {"name": "second"}]}],
            "routes": [{"name": "all", "backend": "both"}],
        }
        self.gateway: Gateway = processes.gateway(config=processes.file("pool.yaml", json.dumps(settings)))
        self.gateway.wait_ready(2)

    def start_first(self, token_delay_ms: int = 0) -> Upstream:
        return self.processes.cloud("openai", port=self.port, api_key="sk-first", models=MODEL, token_delay_ms=token_delay_ms)

    def choice(self) -> tuple[str, str]:
        """Who would answer now, and the state of the first backend."""
        explained = self.gateway.post("/admin/v1/explain", ASKED).json()
        states = {candidate["worker"]: candidate["state"] for candidate in explained["candidates"]}
        return explained["choice"], states["first"]

    def in_flight(self) -> int:
        """How many calls the first backend has."""
        explained = self.gateway.post("/admin/v1/explain", ASKED).json()
        return next(candidate["in_flight"] for candidate in explained["candidates"] if candidate["worker"] == "first")

    def state_metric(self, state: str) -> float:
        return self.gateway.metric("trunkline_worker_state", worker="first", state=state)


def backend(name: str, provider: str, url: str, key: str, model: str) -> dict:
    return {"name": name, "provider": provider, "url": url, "api_key": key, "models": [model], "default_model": model}


@pytest.fixture
def pool(processes: Processes) -> Pool:
    return Pool(processes)


async def streamed(gateway: Gateway, sent: asyncio.Semaphore, said: asyncio.Semaphore) -> tuple[int, str]:
    """Status and body of a streamed chat, over a plain socket; `said` is told of its first content."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(ASKED | {"stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await writer.drain()
    sent.release()
    status = int((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
    said.release()
    text = ""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        text += (await reader.readexactly(size + 2))[:-2].decode()
    writer.close()
    return status, text


def chunks(text: str) -> list[dict]:
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def has_content(events: list[dict]) -> bool:
    return any(choice["delta"].get("content") for event in events for choice in event.get("choices", []))


def test_killing_the_first_of_a_pool_fails_no_stream_that_had_not_begun(pool: Pool):
    gateway = pool.gateway
    assert pool.choice() == ("first", "ready")

    async def scene() -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        sent, said = asyncio.Semaphore(0), asyncio.Semaphore(0)
        begun = [asyncio.create_task(streamed(gateway, sent, said)) for _ in range(STREAMS // 2)]
        for _ in begun:
            await asyncio.wait_for(said.acquire(), 60)
        # It hears no more of what it is asked.
        pool.first.signal(signal.SIGSTOP)
        waiting = [asyncio.create_task(streamed(gateway, sent, said)) for _ in range(STREAMS // 2)]
        for _ in begun + waiting:
            await asyncio.wait_for(sent.acquire(), 60)
        await asyncio.to_thread(wait_for, "all streams are with the first", lambda: pool.in_flight() == STREAMS, 60)
        # The first backend talks to one half, and has not said a word to the other.
        pool.first.signal(signal.SIGKILL)
        return await asyncio.gather(*begun), await asyncio.gather(*waiting)

    begun, waiting = asyncio.run(scene())
    assert {status for status, _ in begun + waiting} == {200}
    for _, text in begun + waiting:
        events = chunks(text)
        assert has_content(events), text
        if text.rstrip().endswith("[DONE]"):
            assert "error" not in events[-1], text
        else:
            assert events[-1]["error"]["code"] == "upstream_cut", text
    assert all("error" in chunks(text)[-1] for _, text in begun), "the kill met streams that ran"
    assert all("error" not in chunks(text)[-1] for _, text in waiting), "and streams that had not begun"

    # It is taken out: seen where one would look. Now and then it gets another chance, which a call uses up.
    out = ("second", "unhealthy")
    wait_for("explain chooses the other", lambda: not answers_from_first(pool) and pool.choice() == out, 60)
    wait_for("a metric says so", lambda: not answers_from_first(pool) and pool.state_metric("unhealthy") == 1, 60)
    assert gateway.metric("trunkline_worker_faults_total", worker="first") >= STREAMS // 2
    assert gateway.metric("trunkline_worker_faults_total", worker="second") == 0
    gateway.line(lambda line: '"worker":"first"' in line and "unhealthy" in line)
    access = [json.loads(line) for line in gateway.log().splitlines() if '"trunkline::access"' in line]
    rescued = [line for line in access if line["worker"] == "second" and line["attempts"].startswith("first:")]
    assert len(rescued) >= STREAMS // 2, "streams moved from one backend to the other"

    # It comes back into use by itself.
    pool.start_first()
    wait_for("calls reach it again", lambda: answers_from_first(pool), timeout_s=60)
    assert (pool.choice(), pool.state_metric("ready")) == (("first", "ready"), 1)
    gateway.line(lambda line: '"worker":"first"' in line and '"to":"ready"' in line)


def answers_from_first(pool: Pool) -> bool:
    answer = pool.gateway.post("/v1/chat/completions", ASKED | {"max_tokens": 2}, timeout=30)
    assert answer.status_code == 200, answer.text
    return "x-trunkline-model-substituted" not in answer.headers
