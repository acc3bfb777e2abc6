"""The official Anthropic SDK against an engine, OpenAI's cloud and Anthropic's cloud behind one gateway."""

import anthropic
import mixed_fleet
import pytest
from clients import anthropic_client
from mixed_fleet import CHAT_MODELS, CLAUDE, ENGINE, GATEWAY_KEY, GPT
from processes import Gateway, Processes
from test_openai_sdk import PNG

QUESTION = {"system": "Be brief.", "messages": [{"role": "user", "content": "Tell me of lighthouses"}], "max_tokens": 200}
TOOL_QUESTION = {
    "messages": [{"role": "user", "content": "Use get_weather and get_time for Kiel"}],
    "max_tokens": 200,
    "tools": [
        {
            "name": name,
            "description": f"Answers {name}.",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        }
        for name in ("get_weather", "get_time")
    ],
}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}

each_model = pytest.mark.parametrize("model", CHAT_MODELS)


@pytest.fixture(scope="module")
def gateway(processes: Processes) -> Gateway:
    return mixed_fleet.start(processes)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> anthropic.Anthropic:
    return anthropic_client(gateway, api_key=GATEWAY_KEY)


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@each_model
def test_message(client: anthropic.Anthropic, model: str):
    message = client.messages.create(model=model, **QUESTION)
    assert (message.type, message.role, message.model) == ("message", "assistant", model)
    assert [block.type for block in message.content] == ["text"]
    assert "“Tell me of lighthouses”" in text_of(message)
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.output_tokens > 0


@each_model
def test_stream_says_what_the_whole_answer_says(client: anthropic.Anthropic, model: str):
    whole = client.messages.create(model=model, **QUESTION)
    events = list(client.messages.create(model=model, stream=True, **QUESTION))
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_delta") > 5, "a stream comes in pieces"
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == text_of(whole)
    end = next(event for event in events if event.type == "message_delta")
    assert end.delta.stop_reason == "end_turn"
    assert end.usage.output_tokens == whole.usage.output_tokens


@each_model
def test_stream_helper(client: anthropic.Anthropic, model: str):
    whole = client.messages.create(model=model, **QUESTION)
    with client.messages.stream(model=model, **QUESTION) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == text_of(final) == text_of(whole)
    assert final.stop_reason == "end_turn"
    assert total_input(final.usage) == total_input(whole.usage) > 0


@each_model
def test_limit_and_stop_sequence(client: anthropic.Anthropic, model: str):
    limited = client.messages.create(model=model, **QUESTION | {"max_tokens": 4})
    assert (limited.stop_reason, limited.usage.output_tokens) == ("max_tokens", 4)
    stopped = client.messages.create(model=model, stop_sequences=["lighthouses"], **QUESTION)
    assert text_of(stopped).endswith("Tell me of ")


def test_the_stop_sequence_is_named_where_the_upstream_tells(client: anthropic.Anthropic):
    stopped = client.messages.create(model=CLAUDE, stop_sequences=["lighthouses"], **QUESTION)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "lighthouses")


@each_model
def test_parallel_tools_and_the_loop(client: anthropic.Anthropic, model: str):
    first = client.messages.create(model=model, **TOOL_QUESTION)
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert len({call.id for call in calls}) == 2
    assert all(isinstance(call.input["city"], str) for call in calls)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": f"{call.name}: fine"}]}
        for call in calls
    ]
    history = [
        *TOOL_QUESTION["messages"],
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": results},
    ]
    second = client.messages.create(model=model, **TOOL_QUESTION | {"messages": history})
    assert second.stop_reason == "end_turn"
    assert "The tools answered: get_weather: fine; get_time: fine." in text_of(second)


@each_model
def test_parallel_tools_stream(client: anthropic.Anthropic, model: str):
    whole = client.messages.create(model=model, **TOOL_QUESTION)
    with client.messages.stream(model=model, **TOOL_QUESTION) as stream:
        final = stream.get_final_message()
    streamed, at_once = (
        [(block.name, block.input) for block in message.content if block.type == "tool_use"]
        for message in (final, whole)
    )
    assert streamed == at_once
    assert len(streamed) == 2
    assert final.stop_reason == "tool_use"


@each_model
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather", "get_time"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
        ({"type": "auto", "disable_parallel_tool_use": True}, ["get_weather"]),
    ],
    ids=["none", "any", "named", "one"],
)
def test_tool_choice(client: anthropic.Anthropic, model: str, choice: dict, names: list[str]):
    message = client.messages.create(model=model, tool_choice=choice, **TOOL_QUESTION)
    assert [block.name for block in message.content if block.type == "tool_use"] == names


@each_model
def test_image(client: anthropic.Anthropic, model: str):
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "text", "text": "What is on this picture?"},
    ]
    message = client.messages.create(model=model, max_tokens=200, messages=[{"role": "user", "content": content}])
    assert "“What is on this picture?”" in text_of(message)


def test_thinking(client: anthropic.Anthropic):
    message = client.messages.create(model=CLAUDE, **QUESTION | THINKING)
    assert [block.type for block in message.content] == ["thinking", "text"]
    thought = message.content[0]
    assert "lighthouses" in thought.thinking
    assert thought.signature
    with client.messages.stream(model=CLAUDE, **QUESTION | THINKING) as stream:
        final = stream.get_final_message()
    assert (final.content[0], text_of(final)) == (thought, text_of(message))
    # A signed thought must come back as it was: the cloud refuses one without its signature.
    turns = [
        *QUESTION["messages"],
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]},
        {"role": "user", "content": "And of lightships?"},
    ]
    again = client.messages.create(model=CLAUDE, **QUESTION | THINKING | {"messages": turns})
    assert "“And of lightships?”" in text_of(again)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_thinking_of_an_engine(client: anthropic.Anthropic, stream: bool):
    asked = {"model": ENGINE, **QUESTION, **THINKING}
    if stream:
        with client.messages.stream(**asked) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert "lighthouses" in message.content[0].thinking
    assert "“Tell me of lighthouses”" in text_of(message)


def test_models(client: anthropic.Anthropic):
    listed = [model.id for model in client.models.list()]
    assert set(CHAT_MODELS) <= set(listed)
    assert client.models.retrieve(ENGINE).type == "model"


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
@pytest.mark.parametrize("model", [ENGINE, CLAUDE])
def test_both_ways_to_show_a_key(gateway: Gateway, header: str, model: str):
    shown = {"x-api-key": GATEWAY_KEY} if header == "x-api-key" else {"authorization": f"Bearer {GATEWAY_KEY}"}
    hidden = {"authorization" if header == "x-api-key" else "x-api-key": anthropic.Omit()}
    client = anthropic_client(gateway, default_headers=shown | hidden)
    assert text_of(client.messages.create(model=model, **QUESTION))


def test_wrong_key(gateway: Gateway):
    with pytest.raises(anthropic.AuthenticationError) as refused:
        anthropic_client(gateway, api_key="wrong").messages.create(model=ENGINE, **QUESTION)
    assert error_of(refused.value)["type"] == "authentication_error"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_unknown_model(client: anthropic.Anthropic, stream: bool):
    with pytest.raises(anthropic.NotFoundError) as refused:
        client.messages.create(model="demo-modle", stream=stream, **QUESTION)
    error = error_of(refused.value)
    assert error["type"] == "not_found_error"
    assert ENGINE in error["message"], "close names are told"


@each_model
def test_bad_request(client: anthropic.Anthropic, model: str):
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(model=model, **QUESTION | {"messages": []})
    error = error_of(refused.value)
    assert error["type"] == "invalid_request_error"
    assert "messages" in error["message"]


def test_a_refusal_of_the_other_dialect_is_translated(client: anthropic.Anthropic):
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(model=GPT, **QUESTION | {"max_tokens": 0})
    assert error_of(refused.value)["type"] == "invalid_request_error"


def error_of(error: anthropic.APIStatusError) -> dict:
    assert error.body["type"] == "error"
    return error.body["error"]


def total_input(usage) -> int:
    """With what a cache served: who asked before decides how that is split."""
    return usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
