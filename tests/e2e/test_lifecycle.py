"""Starting, reloading and stopping while streams run, and what happens when either end goes away."""

import asyncio
import json
import signal
import time

import httpx
import pytest
import yaml
from processes import Gateway, Processes, Upstream, wait_for

MODEL = "demo-model"
LIVE_STREAMS = 200
TOKENS = 40


@pytest.fixture
def engine(processes: Processes) -> Upstream:
    """Slower than life and with room for everybody, so that streams last a while: 60 ms a token."""
    return processes.engine(flavour="vllm", time_scale=10, step_per_running_ms=0)


@pytest.fixture
def gateway(processes: Processes, engine: Upstream) -> Gateway:
    gateway = processes.gateway("--worker-urls", engine.url)
    gateway.wait_ready(1)
    return gateway


def chat(tokens: int = TOKENS) -> dict:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Count the waves"}],
        "stream": True,
        "max_tokens": tokens,
        "ignore_eos": True,
    }


def message(tokens: int = TOKENS) -> dict:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Count the waves"}],
        "stream": True,
        "max_tokens": tokens,
    }


def data_lines(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]


async def raw_stream(gateway: Gateway, begun: asyncio.Semaphore) -> str:
    """A streamed chat over a plain socket, which costs so little that hundreds begin at once."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(chat())
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    text = ""
    # A body that is cut ends in IncompleteReadError, not in an empty chunk.
    while size := int(await reader.readuntil(b"\r\n"), 16):
        if not text:
            begun.release()
        text += (await reader.readexactly(size + 2))[:-2].decode()
    writer.close()
    return text


def is_refusing(gateway: Gateway) -> bool:
    try:
        gateway.get("/health")
    except httpx.TransportError:
        return True
    return False


def test_sigterm_breaks_no_live_stream(processes: Processes):
    # 6 s a stream: enough to open all of them on a busy machine before the first one ends.
    engine = processes.engine(flavour="vllm", time_scale=25, step_per_running_ms=0)
    gateway = processes.gateway("--worker-urls", engine.url)
    gateway.wait_ready(1)

    async def scene() -> list[str]:
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(raw_stream(gateway, begun)) for _ in range(LIVE_STREAMS)]
        for _ in streams:
            await asyncio.wait_for(begun.acquire(), 30)
        assert engine.running() > LIVE_STREAMS / 2, "the streams must be live when the signal comes"
        gateway.signal(signal.SIGTERM)
        return await asyncio.gather(*streams)

    for text in asyncio.run(scene()):
        events = data_lines(text)
        assert events[-1] == "[DONE]"
        finish = [json.loads(event)["choices"][0]["finish_reason"] for event in events[:-1] if '"choices":[{' in event]
        assert finish[-1] == "length"
        assert sum('"content"' in event for event in events) >= TOKENS
    assert gateway.wait() == 0


def test_sigterm_ends_an_idle_gateway_at_once(gateway: Gateway):
    began = time.monotonic()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    assert time.monotonic() - began < 2


def test_sigterm_stops_accepting_but_not_before_the_last_stream(gateway: Gateway):
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=chat(), timeout=30) as answer:
        pieces = answer.iter_text()
        text = next(pieces)
        gateway.signal(signal.SIGTERM)
        wait_for("new connections refused", lambda: is_refusing(gateway))
        assert gateway.is_running()
        text += "".join(pieces)
    assert data_lines(text)[-1] == "[DONE]"
    assert gateway.wait() == 0


def test_sighup_takes_a_good_file_and_survives_a_bad_one(processes: Processes, engine: Upstream):
    def written(rest: str) -> str:
        return processes.config.read_text() + f"workers: [{{url: '{engine.url}'}}]\n{rest}"

    config = processes.file("reload.yaml", written("aliases: {fast: demo-model}\n"))
    gateway = processes.gateway(config=config)
    gateway.wait_ready(1)

    def status(model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        return gateway.post("/v1/chat/completions", body).status_code

    def reloads(result: str) -> float:
        return gateway.metric("trunkline_config_reloads_total", outcome=result)

    assert (status("fast"), status("quick")) == (200, 404)

    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=chat(), timeout=30) as answer:
        pieces = answer.iter_text()
        text = next(pieces)
        config.write_text(written("aliases: {quick: demo-model}\n"))
        gateway.signal(signal.SIGHUP)
        wait_for("the good file is taken", lambda: reloads("taken") == 1)
        assert (status("fast"), status("quick")) == (404, 200)

        config.write_text(written("aliases: {fast: demo-model}\npolicyy: random\n"))
        gateway.signal(signal.SIGHUP)
        wait_for("the bad file is refused", lambda: reloads("refused") == 1)
        assert (status("fast"), status("quick")) == (404, 200)
        text += "".join(pieces)
    assert data_lines(text)[-1] == "[DONE]", "reloads touch no stream"

    why = json.loads(gateway.line(lambda line: "configuration not changed" in line))["message"]
    for fact in ("reload.yaml", "policyy", "policy"):
        assert fact in why


def test_a_folder_is_one_configuration_and_is_watched(processes: Processes, engine: Upstream):
    listen = yaml.safe_load(processes.config.read_text())
    processes.file("conf.d/10-listen.json", json.dumps(listen | {"admin": {"watch_interval": "100ms"}}))
    workers = processes.file("conf.d/20-workers.toml", f'[[workers]]\nurl = "{engine.url}"\n')
    gateway = processes.gateway(config=workers.parent)
    gateway.wait_ready(1)

    def status(model: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        return gateway.post("/v1/chat/completions", body).status_code

    assert status("fast") == 404
    more = processes.file("conf.d/30-aliases.yaml", "aliases: {fast: demo-model}\n")
    wait_for("the new file counts", lambda: status("fast") == 200)
    more.write_text("aliases: {fast: demo-model}\nlisten: {host: 127.0.0.1}\n")
    why = json.loads(gateway.line(lambda line: "configuration not changed" in line))["message"]
    assert "30-aliases.yaml:2:16: listen.host: is set in another file" in why
    assert status("fast") == 200
    more.unlink()
    wait_for("what it said no longer counts", lambda: status("fast") == 404)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_killing_the_engine_mid_stream_tells_the_client(processes: Processes, path: str):
    engine = processes.engine(flavour="generic", time_scale=10)
    gateway = processes.gateway("--worker-urls", engine.url)
    gateway.wait_ready(1)
    body = chat() if path == "/v1/chat/completions" else message()
    with httpx.stream("POST", gateway.url + path, json=body, timeout=30) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_text()
        text = next(pieces)
        engine.signal(signal.SIGKILL)
        text += "".join(pieces)
    events = data_lines(text)
    last = json.loads(events[-1])
    assert last["error"]["message"]
    assert engine.url not in text, "addresses of workers are not the client's business"
    if path == "/v1/messages":
        assert last["type"] == "error"
        assert "event: error" in text
        assert "message_stop" not in text
    else:
        assert "[DONE]" not in events


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_client_that_leaves_aborts_the_engine(gateway: Gateway, engine: Upstream, stream: bool):
    body = chat(10_000) | {"stream": stream}
    assert engine.running() == 0
    with httpx.Client() as client:
        if stream:
            with client.stream("POST", f"{gateway.url}/v1/chat/completions", json=body) as answer:
                # Kept: httpx closes the connection when the iterator goes.
                pieces = answer.iter_text()
                next(pieces)
                assert engine.running() == 1
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=0.5)
            assert engine.gauge("prompt_tokens_total") > 0, "the request must have been under way"
    wait_for("the engine is idle again", lambda: engine.running() == 0, timeout_s=1)
    wait_for("so is the worker", lambda: gateway.workers()[0]["load"] == 0, timeout_s=1)
