"""What the gateway sends to each provider is what that provider's own SDK would take: every body is held against the
SDK's types, unknown fields refused."""

import base64
import json
import re
from pathlib import Path

import mixed_fleet
import pytest
import shapes
from mixed_fleet import BEDROCK, CLAUDE, ENGINE, GATEWAY_KEY, GEMINI, GPT
from processes import Gateway, Processes
from speakers import SPEAKERS, Speaker
from test_matrix import QUESTION, RESULTS, TOOL_QUESTION, TOOLS, Tower
from test_openai_sdk import PNG

# The shape each upstream takes, and what is known to stand beside it: fields of engines that OpenAI does not have, and
# samplers that Anthropic's API still takes for the models of before its SDK lost them.
ENGINES_OWN = {"chat_template_kwargs", "top_k", "messages[].reasoning_content", "messages[].name"}
UPSTREAMS = {
    "engine": (ENGINE, shapes.openai_chat, ENGINES_OWN),
    "openai": (GPT, shapes.openai_chat, set()),
    "anthropic": (CLAUDE, shapes.anthropic_messages, {"temperature", "top_p", "top_k"}),
    "gemini": (GEMINI, shapes.gemini_generate, set()),
    "bedrock": (BEDROCK, shapes.bedrock_converse, set()),
}
# Whose bytes pass through as the client wrote them.
SAME_DIALECT = {
    "engine": {"chat", "responses"},
    "openai": {"chat", "responses"},
    "anthropic": {"messages"},
    "gemini": {"gemini"},
    "bedrock": {"bedrock"},
}
TRANSLATED = [
    pytest.param(kind, upstream, id=f"{kind.name}-{upstream}")
    for kind in SPEAKERS
    for upstream in UPSTREAMS
    if kind.name not in SAME_DIALECT[upstream]
]

# Requests with more in them than SDKs make it easy to say: where, and the body besides the model.
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL = {"type": "function", "function": {"name": "get_time", "parameters": SCHEMA}}
RICH = {
    "chat-sampling": (
        "/v1/chat/completions",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "And kind."},
                {"role": "user", "content": "Tell me", "name": "ada"},
                {"role": "user", "content": QUESTION},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["END"],
            "seed": 7,
            "frequency_penalty": 0.5,
            "presence_penalty": 0.5,
            "user": "u1",
            "metadata": {"team": "red"},
            "max_tokens": 300,
        },
    ),
    "chat-json": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": QUESTION}], "response_format": {"type": "json_object"}, "n": 2},
    ),
    "chat-forced-tool": (
        "/v1/chat/completions",
        {
            "messages": [{"role": "user", "content": QUESTION}],
            "tools": [CHAT_TOOL],
            "tool_choice": {"type": "function", "function": {"name": "get_time"}},
            "parallel_tool_calls": False,
        },
    ),
    "messages-marked": (
        "/v1/messages",
        {
            "max_tokens": 300,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": QUESTION, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                        {
                            "type": "document",
                            "title": "log",
                            "source": {"type": "text", "media_type": "text/plain", "data": "All quiet."},
                        },
                    ],
                }
            ],
            "tools": [{"name": "get_time", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "metadata": {"user_id": "u1"},
            "stop_sequences": ["END"],
            "top_k": 5,
        },
    ),
    "messages-tool-image": (
        "/v1/messages",
        {
            "max_tokens": 300,
            "messages": [
                {"role": "user", "content": "Look."},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {"city": "Kiel"}}]},
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "toolu_1",
                            "is_error": True,
                            "content": [
                                {"type": "text", "text": "a clock"},
                                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                            ],
                        },
                        {"type": "text", "text": "And now?"},
                    ],
                },
            ],
            "tools": [{"name": "get_time", "input_schema": SCHEMA}],
        },
    ),
    "gemini-config": (
        "/v1beta/models/{model}:generateContent",
        {
            "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
            "generationConfig": {"temperature": 0.5, "topK": 5, "stopSequences": ["END"], "maxOutputTokens": 300, "seed": 7},
            "tools": [{"functionDeclarations": [{"name": "get_time", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_time"]}},
        },
    ),
}


class Recorded:
    """A gateway, and what its upstreams received."""

    def __init__(self, processes: Processes):
        self.files = {name: processes.directory / f"{name}.jsonl" for name in UPSTREAMS}
        self.gateway: Gateway = mixed_fleet.start(processes, records=self.files)
        self.seen = dict.fromkeys(UPSTREAMS, 0)

    def news(self, upstream: str) -> list[dict]:
        """The bodies of the calls received since the last look."""
        path: Path = self.files[upstream]
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        calls = [line["body"] for line in lines if line["method"] == "POST"]
        seen, self.seen[upstream] = self.seen[upstream], len(calls)
        return calls[seen:]


@pytest.fixture(scope="module")
def recorded(processes: Processes) -> Recorded:
    return Recorded(processes)


def assert_typed(bodies: list[dict], upstream: str) -> None:
    _, check, beside = UPSTREAMS[upstream]
    assert bodies, "nothing arrived"
    for body in bodies:
        wrong = [problem for problem in check(body) if re.sub(r"\[\d+\]", "[]", problem.split(":")[0]) not in beside]
        assert not wrong, f"{wrong} in {json.dumps(body)[:2000]}"


@pytest.mark.parametrize(("kind", "upstream"), TRANSLATED)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_conversations(recorded: Recorded, kind: type[Speaker], upstream: str, stream: bool):
    model, speaker = UPSTREAMS[upstream][0], kind(recorded.gateway, GATEWAY_KEY)
    recorded.news(upstream)
    thinks = upstream != "openai"
    speaker.ask(model, speaker.user(QUESTION, png=base64.b64decode(PNG)), system="Be brief.", stream=stream)
    speaker.ask(model, speaker.user(QUESTION), schema=Tower, stream=stream)
    conversation = speaker.user(TOOL_QUESTION)
    first = speaker.ask(model, conversation, tools=TOOLS, thinks=thinks, stream=stream)
    conversation += first.turn + speaker.results(first.calls, RESULTS.values())
    speaker.ask(model, conversation, tools=TOOLS, thinks=thinks, stream=stream)
    bodies = recorded.news(upstream)
    assert len(bodies) == 4
    assert_typed(bodies, upstream)


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", RICH)
def test_rich_requests(recorded: Recorded, upstream: str, name: str):
    model = UPSTREAMS[upstream][0]
    path, body = RICH[name]
    recorded.news(upstream)
    answer = recorded.gateway.post(
        path.format(model=model),
        body if "{model}" in path else {"model": model, **body},
        headers={"x-api-key": GATEWAY_KEY},
    )
    assert answer.status_code == 200, answer.text
    assert_typed(recorded.news(upstream), upstream)


@pytest.mark.parametrize(
    ("check", "body"),
    [
        (shapes.openai_chat, {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "txt": "a"}]}]}),
        (shapes.anthropic_messages, {"model": "m", "max_tokens": 1, "messages": [{"role": "robot", "content": "a"}]}),
        (shapes.gemini_generate, {"contents": [{"parts": [{"text": "a", "novel": 1}]}]}),
        (shapes.bedrock_converse, {"messages": [{"role": "user", "content": [{"text": "a"}], "novel": 1}]}),
    ],
    ids=["openai", "anthropic", "gemini", "bedrock"],
)
def test_the_check_itself_refuses(check, body: dict):
    assert check(body)
