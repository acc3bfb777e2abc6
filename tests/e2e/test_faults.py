"""A fleet under fire: engines are killed, stopped, restarted and slowed while hundreds of streams run.

Whatever becomes of an engine, every client gets a whole answer or an error in its own dialect, and when the fire is
over nothing of it is left: no place that is still taken, no breaker that stays open, no memory.

TRUNKLINE_FAULT_SECONDS and TRUNKLINE_FAULT_STREAMS make it longer and larger; `scripts/soak` does.
"""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter

import pytest
from processes import Gateway, Processes, Upstream, wait_for

SECONDS = float(os.environ.get("TRUNKLINE_FAULT_SECONDS", "60"))
STREAMS = int(os.environ.get("TRUNKLINE_FAULT_STREAMS", "500"))
ENGINES = 8
TOKENS = 24
# 24 tokens take about five seconds, and ten times that where an engine drips.
PACE, DRIP = 30, 300
# Longer than any deadline of the gateway's below: who waits that long was forgotten.
FORGOTTEN_S = 90

CONFIG = """
listen: {host: 127.0.0.1, port: 0}
metrics: {port: 0}
log: {json: true}
policy: cache_aware
health: {interval: 1s, timeout: 1s}
timeouts: {connect: 2s, first_byte: 6s, idle: 6s}
breaker: {open: 1s, max_open: 4s}
"""


class Slot:
    """One engine's place in the fleet, whoever stands there."""

    def __init__(self, processes: Processes):
        self.processes = processes
        self.engine = self.start(0, PACE)
        self.url = self.engine.url

    def start(self, port: int, pace: int) -> Upstream:
        return self.processes.engine(flavour="vllm", time_scale=pace, step_per_running_ms=0, port=port)

    def restart(self, pace: int) -> None:
        self.engine.signal(signal.SIGKILL)
        self.engine.wait()
        self.engine = self.start(int(self.url.rsplit(":", 1)[1]), pace)

    async def suffer(self, fault: str, chance: random.Random) -> None:
        match fault:
            case "kill":
                self.engine.signal(signal.SIGKILL)
                self.engine.wait()
                await asyncio.sleep(chance.uniform(0.2, 4))
                await asyncio.to_thread(self.restart, PACE)
            case "restart":
                await asyncio.to_thread(self.restart, PACE)
            case "hang":
                self.engine.signal(signal.SIGSTOP)
                await asyncio.sleep(chance.uniform(1, 9))
                self.engine.signal(signal.SIGCONT)
            case "drip":
                await asyncio.to_thread(self.restart, DRIP)
                await asyncio.sleep(chance.uniform(2, 6))
                await asyncio.to_thread(self.restart, PACE)


async def burn(slots: list[Slot], until: float) -> Counter:
    """At most three of the eight are in trouble at any time."""
    chance = random.Random(7)
    faults: Counter = Counter()

    async def trouble(mine: list[Slot]) -> None:
        while time.monotonic() < until:
            fault = chance.choice(["kill", "restart", "hang", "drip"])
            faults[fault] += 1
            await chance.choice(mine).suffer(fault, chance)
            await asyncio.sleep(chance.uniform(0.5, 3))

    await asyncio.gather(*(trouble(slots[part::3]) for part in range(3)))
    return faults


def body(dialect: str, number: int) -> dict:
    asked = {
        "model": "demo-model",
        "messages": [{"role": "user", "content": f"Tell me about number {number}"}],
        "stream": True,
        "max_tokens": TOKENS,
    }
    return asked | {"ignore_eos": True} if dialect == "chat" else asked


def told(event: dict) -> bool:
    """Whether a chunk of a chat holds a word of the answer."""
    return any(choice["delta"].get("content") for choice in event.get("choices", []))


def judged(dialect: str, status: int, text: str) -> str:
    """What a client makes of an answer; anything but these three is a failure."""
    if status != 200:
        assert status >= 429, (status, text)
        answer = json.loads(text)
        assert answer["error"]["message"], text
        assert (answer.get("type") == "error") == (dialect == "messages"), text
        return "refused"
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    if dialect == "chat":
        failed = [event for event in events if "error" in event]
        if failed:
            assert failed == events[-1:] and failed[0]["error"]["message"], text[-2000:]
            return "broken off" if any(told(event) for event in events) else "refused"
        assert text.endswith("data: [DONE]\n\n"), text[-2000:]
        assert len({event["id"] for event in events}) == 1, text
        finish = [choice["finish_reason"] for event in events for choice in event["choices"] if choice["finish_reason"]]
        assert finish in (["length"], ["stop"]), text[-2000:]
        return "whole"
    if events[-1]["type"] == "error":
        assert events[-1]["error"]["message"], text[-2000:]
        return "broken off" if any(event["type"] == "content_block_delta" for event in events) else "refused"
    kinds = Counter(event["type"] for event in events)
    assert events[-1]["type"] == "message_stop" and kinds["message_stop"] == kinds["message_start"] == 1, text[-2000:]
    return "whole"


async def ask(gateway: Gateway, dialect: str, number: int) -> str:
    """One stream over a plain socket, to its end."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        path = "/v1/chat/completions" if dialect == "chat" else "/v1/messages"
        sent = json.dumps(body(dialect, number))
        head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {len(sent)}\r\n\r\n"
        writer.write((head + sent).encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        status = int(answer.split(" ", 2)[1])
        if "transfer-encoding: chunked" not in answer.lower():
            return judged(dialect, status, (await reader.read()).decode())
        pieces = []
        # A body that is cut ends in IncompleteReadError, not in an empty chunk.
        while size := int(await reader.readuntil(b"\r\n"), 16):
            pieces.append((await reader.readexactly(size + 2))[:-2])
        return judged(dialect, status, b"".join(pieces).decode())
    finally:
        writer.close()


async def keep_asking(gateway: Gateway, client: int, until: float, outcomes: Counter) -> None:
    dialect = "messages" if client % 4 == 0 else "chat"
    await asyncio.sleep(client / STREAMS * 5)
    number = client
    while time.monotonic() < until:
        outcomes[await asyncio.wait_for(ask(gateway, dialect, number), FORGOTTEN_S)] += 1
        number += STREAMS


def resident(gateway: Gateway) -> int:
    """Bytes of memory that the gateway has."""
    with open(f"/proc/{gateway.child.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def remember(gateway: Gateway, until: float, sizes: list[int]) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(1)
        sizes.append(resident(gateway))


@pytest.fixture
def slots(processes: Processes) -> list[Slot]:
    return [Slot(processes) for _ in range(ENGINES)]


def test_every_client_is_told_how_it_ends(processes: Processes, slots: list[Slot]):
    config = processes.file("faults.yaml", CONFIG)
    gateway = processes.gateway("--worker-urls", *(slot.url for slot in slots), config=config)
    gateway.wait_ready(ENGINES)
    outcomes: Counter = Counter()
    sizes: list[int] = []

    async def run() -> Counter:
        until = time.monotonic() + SECONDS
        clients = (keep_asking(gateway, client, until, outcomes) for client in range(STREAMS))
        faults, *_ = await asyncio.gather(burn(slots, until), remember(gateway, until, sizes), *clients)
        return faults

    faults = asyncio.run(run())
    print(dict(outcomes), dict(faults), f"{sizes[len(sizes) // 2] >> 20} MiB in the middle, {sizes[-1] >> 20} at the end")
    assert set(faults) == {"kill", "restart", "hang", "drip"} or SECONDS < 60
    assert outcomes["whole"] > STREAMS, "there was hardly a moment when all was well"
    # What fails before its first word is tried elsewhere, so that hardly anybody gets nothing.
    assert outcomes["whole"] > outcomes["broken off"] and outcomes["refused"] < outcomes.total() / 50, outcomes
    # Nothing of it is left.
    wait_for("no call is counted any more", lambda: gateway.metric("trunkline_worker_in_flight_requests") == 0)
    gateway.wait_ready(ENGINES)

    async def all_well() -> list[str]:
        return await asyncio.gather(*(ask(gateway, "chat", random.randrange(10**6)) for _ in range(64)))

    def all_serve() -> bool:
        # Trials are clients' own calls.
        asyncio.run(all_well())
        return gateway.metric("trunkline_worker_cb_state") == 0

    wait_for("all breakers are closed again", all_serve, 60)
    assert asyncio.run(all_well()) == ["whole"] * 64
    assert all(slot.engine.running() == 0 for slot in slots), "an engine still writes for somebody who is gone"
    half, end = max(sizes[len(sizes) // 3 : len(sizes) * 2 // 3]), sizes[-1]
    assert end < half * 1.25 + (8 << 20), f"grew from {half >> 20} to {end >> 20} MiB"
