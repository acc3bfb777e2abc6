"""A real engine: mlx-lm on the CPU with a tiny model, behind `trunkline --worker-urls`, called with the
official SDKs. At temperature 0 whatever the engine says directly must also come through the gateway."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from clients import anthropic_client, openai_client
from processes import Gateway, Process, Processes, wait_for

TOKENS = 24
MESSAGES = [
    {"role": "system", "content": "You are a lighthouse."},
    {"role": "user", "content": "What do you see?"},
]


@pytest.fixture(scope="module")
def model() -> Path:
    """The model's directory; made once, and again when its recipe changes."""
    recipe = Path(__file__).parent / "tiny_model.py"
    cache = Path(os.environ.get("TRUNKLINE_TEST_CACHE", Path.home() / ".cache/trunkline"))
    directory = cache / "tiny-model"
    made_of = directory / "recipe.py"
    if not made_of.exists() or made_of.read_bytes() != recipe.read_bytes():
        subprocess.run([sys.executable, str(recipe), str(directory)], check=True)
        made_of.write_bytes(recipe.read_bytes())
    return directory.resolve()


class Mlx(Process):
    """mlx-lm's own server, kept from looking for models anywhere else."""

    def __init__(self, model: Path, directory: Path):
        hub = directory / "hub"
        hub.mkdir()
        port = free_port()
        argv = [sys.executable, "-m", "mlx_lm", "server", "--model", str(model), "--host", "127.0.0.1", "--port", str(port)]
        env = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub), "OMP_NUM_THREADS": "1"}
        super().__init__("mlx", argv, directory / "mlx.log", env)
        self.url = f"http://127.0.0.1:{port}"
        wait_for("the engine answers", self.is_up, timeout_s=60)

    def is_up(self) -> bool:
        if not self.is_running():
            raise RuntimeError(f"mlx ended:\n{self.log()}")
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False

    def chat(self, **more) -> dict:
        """What it answers when asked directly."""
        body = {"messages": MESSAGES, "max_tokens": TOKENS, "temperature": 0} | more
        answer = httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=30)
        return answer.raise_for_status().json()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def mlx(processes: Processes, model: Path) -> Mlx:
    return processes.keep(Mlx(model, processes.directory))


@pytest.fixture(scope="module")
def gateway(processes: Processes, mlx: Mlx) -> Gateway:
    gateway = processes.gateway("--worker-urls", mlx.url)
    gateway.wait_ready(1)
    return gateway


@pytest.fixture(scope="module")
def direct(mlx: Mlx) -> dict:
    """The engine's own answer, given twice so that its prompt cache is as warm as it will be."""
    mlx.chat()
    return mlx.chat()


def text_of(answer: dict) -> str:
    return answer["choices"][0]["message"]["content"]


def test_the_engine_is_recognised(gateway: Gateway, mlx: Mlx, model: Path):
    (worker,) = gateway.workers()
    assert worker["runtime"] == "mlx"
    assert worker["status"] == "ready"
    assert [card["id"] for card in worker["models"]] == [str(model)]
    assert [listed.id for listed in openai_client(gateway).models.list()] == [str(model)]


def test_openai_chat(gateway: Gateway, model: Path, direct: dict):
    answer = openai_client(gateway).chat.completions.create(
        model=str(model), messages=MESSAGES, max_tokens=TOKENS, temperature=0
    )
    assert len(text_of(direct)) == TOKENS, "the tiny model speaks one character a token"
    assert answer.choices[0].message.content == text_of(direct)
    assert answer.choices[0].finish_reason == direct["choices"][0]["finish_reason"] == "length"
    assert usage(answer.usage.model_dump()) == usage(direct["usage"])


def test_openai_chat_stream(gateway: Gateway, model: Path, direct: dict):
    stream = openai_client(gateway).chat.completions.create(
        model=str(model),
        messages=MESSAGES,
        max_tokens=TOKENS,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    said = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert "".join(said) == text_of(direct)
    assert len(said) > 1
    assert usage(chunks[-1].usage.model_dump()) == usage(direct["usage"])


def test_openai_completion(gateway: Gateway, mlx: Mlx, model: Path):
    body = {"model": str(model), "prompt": "Once upon a time", "max_tokens": TOKENS, "temperature": 0}
    direct = httpx.post(f"{mlx.url}/v1/completions", json=body, timeout=30).json()
    answer = openai_client(gateway).completions.create(**body)
    assert len(answer.choices[0].text) == TOKENS
    assert answer.choices[0].text == direct["choices"][0]["text"]


def test_stop_strings_reach_the_engine(gateway: Gateway, mlx: Mlx, model: Path, direct: dict):
    stop = text_of(direct)[8:10]
    alike = mlx.chat(stop=[stop])
    answer = openai_client(gateway).chat.completions.create(
        model=str(model), messages=MESSAGES, max_tokens=TOKENS, temperature=0, stop=[stop]
    )
    assert answer.choices[0].message.content == text_of(alike)
    assert len(text_of(alike)) < TOKENS
    assert answer.choices[0].finish_reason == "stop"


def test_splice_changes_no_byte(gateway: Gateway, mlx: Mlx, model: Path):
    """Of the engine's stream only what differs from call to call may differ."""
    body = {"model": str(model), "messages": MESSAGES, "max_tokens": TOKENS, "temperature": 0, "stream": True}
    through, direct = (
        httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).text for url in (gateway.url, mlx.url)
    )
    assert [timeless(line) for line in through.splitlines()] == [timeless(line) for line in direct.splitlines()]


def test_anthropic_messages(gateway: Gateway, model: Path, direct: dict):
    answer = anthropic_client(gateway).messages.create(
        model=str(model),
        system=MESSAGES[0]["content"],
        messages=MESSAGES[1:],
        max_tokens=TOKENS,
        extra_body={"temperature": 0},
    )
    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].text == text_of(direct)
    assert answer.stop_reason == "max_tokens"
    assert total_input(answer.usage) == direct["usage"]["prompt_tokens"]
    assert answer.usage.output_tokens == direct["usage"]["completion_tokens"]


def test_anthropic_messages_stream(gateway: Gateway, model: Path, direct: dict):
    with anthropic_client(gateway).messages.stream(
        model=str(model),
        system=MESSAGES[0]["content"],
        messages=MESSAGES[1:],
        max_tokens=TOKENS,
        extra_body={"temperature": 0},
    ) as stream:
        said = list(stream.text_stream)
        whole = stream.get_final_message()
    assert "".join(said) == text_of(direct) == whole.content[0].text
    assert len(said) > 1
    assert whole.stop_reason == "max_tokens"
    assert total_input(whole.usage) == direct["usage"]["prompt_tokens"]
    assert whole.usage.output_tokens == direct["usage"]["completion_tokens"]


def usage(counts: dict) -> tuple[int, int, int]:
    """Without the cached part, which says who asked before."""
    return counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"]


def total_input(counts) -> int:
    return counts.input_tokens + (counts.cache_read_input_tokens or 0) + (counts.cache_creation_input_tokens or 0)


def timeless(line: str) -> str | dict:
    """An event without what the engine makes up per call; comments without their progress figures."""
    if not line.startswith("data: {"):
        return line.split(" ")[0]
    event = json.loads(line.removeprefix("data: "))
    assert {"id", "created"} <= event.keys()
    return event | {"id": "", "created": 0}
