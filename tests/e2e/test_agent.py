"""An agent's session as Claude's coding agents hold it (marked system blocks, thirty tools, thinking, results with images,
forty turns) against models that are not Anthropic's own: what does not arrive upstream is named in the warnings."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import mixed_fleet
import pytest
from mixed_fleet import BEDROCK, ENGINE, GATEWAY_KEY
from processes import Processes
from test_openai_sdk import PNG

CYCLES = 10
MARK = {"cache_control": {"type": "ephemeral"}}
TOOLS = [
    {
        "name": f"tool_{n:02}",
        "description": f"Does what number {n} does.",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": f"The city for {n}."}, "depth": {"type": "integer"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    for n in range(30)
]
REQUEST = {
    "max_tokens": 32000,
    "system": [
        {"type": "text", "text": "You are an agent in a terminal.", **MARK},
        {"type": "text", "text": "The repository is on branch seven.", **MARK},
    ],
    "tools": [*TOOLS[:-1], TOOLS[-1] | MARK],
    "thinking": {"type": "enabled", "budget_tokens": 9000},
    "metadata": {"user_id": "user-of-the-agent"},
    "stop_sequences": ["<stop-here>"],
}


class Agent:
    """Keeps a session going through the gateway; knows the last body it sent and what was said to be lost of it."""

    def __init__(self, url: str, model: str):
        self.client = httpx.Client(base_url=url, headers={"x-api-key": GATEWAY_KEY, "anthropic-version": "2023-06-01"})
        self.model = model
        self.messages: list[dict] = []

    def say(self, content: list[dict]) -> list[dict]:
        """One turn of the user's and the model's answer to it."""
        self.messages.append({"role": "user", "content": content})
        # The newest turn is marked, as agents do; the mark moves on with the next.
        marked = [*self.messages[:-1], {"role": "user", "content": [*content[:-1], content[-1] | MARK]}]
        self.sent = {"model": self.model, **REQUEST, "messages": marked}
        answer = self.client.post("/v1/messages", json=self.sent, timeout=30)
        assert answer.status_code == 200, answer.text
        self.warnings: str = answer.headers.get("x-trunkline-warnings", "")
        self.messages.append({"role": "assistant", "content": answer.json()["content"]})
        return answer.json()["content"]

    def cycle(self, n: int) -> None:
        """A question, three tool calls, their results (one a picture, one an error), a final answer."""
        names = [f"tool_{(n * 3 + k) % 30:02}" for k in range(3)]
        asked = self.say([{"type": "text", "text": f"Step {n}: use {', '.join(names)} for Kiel"}])
        assert [block["type"] for block in asked] == ["thinking", *["tool_use"] * 3]
        ids = [block["id"] for block in asked if block["type"] == "tool_use"]
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        contents = [
            [{"type": "text", "text": f"listing {n}"}],
            [{"type": "text", "text": f"screenshot {n}"}, image],
            [{"type": "text", "text": f"no such file {n}"}],
        ]
        results = [
            {"type": "tool_result", "tool_use_id": id, "content": content} for id, content in zip(ids, contents, strict=True)
        ]
        results[2]["is_error"] = True
        answered = self.say([*results, {"type": "text", "text": f"<reminder {n}>"}])
        assert [block["type"] for block in answered] == ["thinking", "text"]


def facts(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf of a body, with its path; arguments and pictures the same whichever way they are packed."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from facts(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from facts(inner, f"{path}[{at}]")
    elif path.endswith(".arguments"):
        yield from facts(json.loads(value), path)
    elif isinstance(value, str) and value.startswith("data:image/png;base64,"):
        yield path, value.removeprefix("data:image/png;base64,")
    else:
        yield path, value


# Leaves that name a form rather than say something: each dialect has its own words for those. Not so in schemas.
FORM = re.compile(r"(^|\.)(type|role|media_type|model)$")


def said(body: dict) -> list[tuple[str, object]]:
    """What the request says, but for the marks of the cache, which are counted apart."""
    told = [(path, value) for path, value in facts(body) if "input_schema" in path or not FORM.search(path)]
    return [(path, value) for path, value in told if "cache_control" not in path]


@dataclass
class Warning:
    path: str
    reason: str

    def covers(self, path: str) -> bool:
        return path == self.path or path.startswith((f"{self.path}.", f"{self.path}["))


def read_warnings(header: str) -> list[Warning]:
    # Reasons may have semicolons of their own.
    parts = re.split(r"\); (?=\S+ \S+ \()", header.removesuffix(")"))
    entries = [re.fullmatch(r"(\S+) (?:dropped|degraded|emulated|invented) \((.*)", part) for part in parts]
    assert all(entries), f"cut short, or of an unknown form: {header}"
    return [Warning(*entry.groups()) for entry in entries]


def is_told(path: str, value: object, received: dict) -> bool:
    """Whether a leaf that is not upstream as it was is there in another form."""
    match path.rsplit(".", 1)[-1], value:
        # Thoughts of other models are sealed by the gateway: upstream gets its own signatures, or none where it gave none.
        case "signature", str(sealed):
            own = json.dumps(received).count('"signature"')
            return sealed.startswith("tl") and own == (0 if received.get("model") == ENGINE else 2 * CYCLES - 1)
        case "is_error", True:
            return json.dumps(received).count('"status": "error"') == CYCLES
        case "text", str(text) if path.startswith("system["):
            # Blocks of one system prompt are lines of one message.
            instructions = [message["content"] for message in received["messages"] if message["role"] == "system"]
            return any(text in message.splitlines() for message in instructions)
    return False


@pytest.fixture(scope="module")
def sessions(processes: Processes) -> dict[str, tuple[Agent, dict]]:
    """By model: the agent after its session, and the last body its upstream received."""
    records = {name: processes.directory / f"{name}.jsonl" for name in ("engine", "bedrock")}
    gateway = mixed_fleet.start(processes, records)
    sessions = {}
    for name, model in (("engine", ENGINE), ("bedrock", BEDROCK)):
        agent = Agent(gateway.url, model)
        for n in range(CYCLES):
            agent.cycle(n)
        last = json.loads(records[name].read_text().splitlines()[-1])
        sessions[model] = (agent, last["body"])
    return sessions


@pytest.mark.parametrize("model", [ENGINE, BEDROCK], ids=["engine", "bedrock"])
def test_what_does_not_arrive_is_named(sessions: dict, model: str):
    agent, received = sessions[model]
    assert len(agent.messages) == 4 * CYCLES
    warnings = read_warnings(agent.warnings) if agent.warnings else []
    arrived = Counter(json.dumps(value) for _, value in facts(received))
    for path, value in said(agent.sent):
        key = json.dumps(value)
        if arrived[key]:
            arrived[key] -= 1
        else:
            listed = any(warning.covers(path) for warning in warnings)
            assert listed or is_told(path, value, received), f"{path} = {key} is neither upstream nor in {warnings}"
    marks = json.dumps(agent.sent).count('"cache_control"')
    kept = json.dumps(received).count('"cachePoint"')
    assert marks == 4 == kept + sum("cache marks" in warning.reason for warning in warnings)


@pytest.mark.parametrize("model", [ENGINE, BEDROCK], ids=["engine", "bedrock"])
def test_what_is_said_stays_in_order(sessions: dict, model: str):
    agent, received = sessions[model]
    spoken = re.compile(r"Step \d+:|listing \d+|screenshot \d+|no such file \d+|<reminder \d+>")
    assert spoken.findall(json.dumps(received["messages"])) == spoken.findall(json.dumps(agent.sent["messages"]))
