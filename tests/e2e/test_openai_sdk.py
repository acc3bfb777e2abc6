"""The official OpenAI SDK against an engine, OpenAI's cloud and Anthropic's cloud behind one gateway."""

import json

import mixed_fleet
import openai
import pydantic
import pytest
from clients import openai_client
from mixed_fleet import CHAT_MODELS, CLAUDE, EMBEDDING, ENGINE, GATEWAY_KEY, GPT
from processes import Gateway, Processes

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tell me of lighthouses"}]
# The simulated models call the tools whose names they read.
TOOL_QUESTION = [{"role": "user", "content": "Use get_weather and get_time for Kiel"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Answers {name}.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for name in ("get_weather", "get_time")
]
# One black pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)

each_model = pytest.mark.parametrize("model", CHAT_MODELS)


@pytest.fixture(scope="module")
def gateway(processes: Processes) -> Gateway:
    return mixed_fleet.start(processes)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> openai.OpenAI:
    return openai_client(gateway, api_key=GATEWAY_KEY)


def assert_adds_up(usage) -> None:
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@each_model
def test_chat(client: openai.OpenAI, model: str):
    answer = client.chat.completions.create(model=model, messages=QUESTION)
    assert answer.object == "chat.completion"
    assert answer.model == model
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert "“Tell me of lighthouses”" in choice.message.content
    assert choice.finish_reason == "stop"
    assert_adds_up(answer.usage)


@each_model
def test_chat_stream_says_what_the_whole_answer_says(client: openai.OpenAI, model: str):
    whole = client.chat.completions.create(model=model, messages=QUESTION)
    stream = client.chat.completions.create(
        model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    text = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert len(text) > 5, "a stream comes in pieces"
    assert "".join(text) == whole.choices[0].message.content
    finishes = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert finishes == ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.model_dump() == whole.usage.model_dump()


@each_model
def test_chat_stream_helper(client: openai.OpenAI, model: str):
    with client.chat.completions.stream(model=model, messages=QUESTION) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content
    assert "“Tell me of lighthouses”" in final.choices[0].message.content


@each_model
def test_limit_and_stop_string(client: openai.OpenAI, model: str):
    limited = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=4)
    assert limited.choices[0].finish_reason == "length"
    assert limited.usage.completion_tokens == 4
    stopped = client.chat.completions.create(model=model, messages=QUESTION, stop=["lighthouses"])
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content.endswith("Tell me of ")


@each_model
def test_parallel_tools_and_the_loop(client: openai.OpenAI, model: str):
    first = client.chat.completions.create(model=model, messages=TOOL_QUESTION, tools=TOOLS)
    assert first.choices[0].finish_reason == "tool_calls"
    calls = first.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert len({call.id for call in calls}) == 2
    assert all(isinstance(json.loads(call.function.arguments)["city"], str) for call in calls)
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name}: fine"} for call in calls]
    second = client.chat.completions.create(
        model=model,
        messages=[*TOOL_QUESTION, first.choices[0].message.model_dump(exclude_none=True), *results],
        tools=TOOLS,
    )
    assert second.choices[0].finish_reason == "stop"
    assert "The tools answered: get_weather: fine; get_time: fine." in second.choices[0].message.content


@each_model
def test_parallel_tools_stream(client: openai.OpenAI, model: str):
    whole = client.chat.completions.create(model=model, messages=TOOL_QUESTION, tools=TOOLS)
    with client.chat.completions.stream(model=model, messages=TOOL_QUESTION, tools=TOOLS) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert [event.name for event in done] == ["get_weather", "get_time"]
    assert final.choices[0].finish_reason == "tool_calls"
    streamed, at_once = (
        [(call.function.name, json.loads(call.function.arguments)) for call in answer.choices[0].message.tool_calls]
        for answer in (final, whole)
    )
    assert streamed == at_once


@each_model
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("required", ["get_weather", "get_time"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
    ids=["none", "required", "named"],
)
def test_tool_choice(client: openai.OpenAI, model: str, choice: object, names: list[str]):
    answer = client.chat.completions.create(model=model, messages=TOOL_QUESTION, tools=TOOLS, tool_choice=choice)
    assert [call.function.name for call in answer.choices[0].message.tool_calls or []] == names


@each_model
def test_one_tool_at_a_time(client: openai.OpenAI, model: str):
    answer = client.chat.completions.create(
        model=model, messages=TOOL_QUESTION, tools=TOOLS, parallel_tool_calls=False
    )
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["get_weather"]


@each_model
def test_image(client: openai.OpenAI, model: str):
    content = [
        {"type": "text", "text": "What is on this picture?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    assert "“What is on this picture?”" in answer.choices[0].message.content


@each_model
def test_structured_output(client: openai.OpenAI, model: str):
    class Tower(pydantic.BaseModel):
        name: str
        height_m: int

    answer = client.chat.completions.parse(model=model, messages=QUESTION, response_format=Tower)
    assert isinstance(answer.choices[0].message.parsed, Tower)


@each_model
def test_several_answers(client: openai.OpenAI, model: str):
    answer = client.chat.completions.create(model=model, messages=QUESTION, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content for choice in answer.choices)
    assert_adds_up(answer.usage)


def test_reasoning_of_an_engine(client: openai.OpenAI):
    answer = client.chat.completions.create(model=ENGINE, messages=QUESTION, reasoning_effort="low")
    assert "lighthouses" in answer.choices[0].message.model_extra["reasoning_content"]


def test_what_is_lost_in_translation_is_said(client: openai.OpenAI):
    given = {"model": CLAUDE, "messages": QUESTION, "seed": 7}
    raw = client.chat.completions.with_raw_response.create(**given)
    assert "seed" in raw.headers["x-trunkline-warnings"]
    assert raw.parse().choices[0].message.content
    raw = client.chat.completions.with_raw_response.create(**given | {"model": GPT})
    assert "x-trunkline-warnings" not in raw.headers


def test_request_id(client: openai.OpenAI):
    given = client.chat.completions.with_raw_response.create(
        model=ENGINE, messages=QUESTION, extra_headers={"x-request-id": "of-the-caller"}
    )
    assert given.headers["x-request-id"] == "of-the-caller"
    assert client.chat.completions.with_raw_response.create(model=ENGINE, messages=QUESTION).headers["x-request-id"]


def test_completion(client: openai.OpenAI):
    body = {"model": ENGINE, "prompt": "Once upon a time"}
    whole = client.completions.create(**body)
    assert "Once upon a time" in whole.choices[0].text
    chunks = list(client.completions.create(**body, stream=True))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text


@pytest.mark.parametrize("model", [ENGINE, EMBEDDING])
def test_embeddings(client: openai.OpenAI, model: str):
    inputs = ["a lighthouse", "a lightship"]
    # The SDK asks for base64 when nothing is said, and gives floats either way.
    packed = client.embeddings.create(model=model, input=inputs)
    floats = client.embeddings.create(model=model, input=inputs, encoding_format="float")
    assert [entry.index for entry in packed.data] == [0, 1]
    for one, other in zip(packed.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, rel=1e-5)
        assert len(one.embedding) > 8
    assert packed.usage.prompt_tokens > 0


@pytest.mark.parametrize("model", [ENGINE, GPT])
def test_responses(client: openai.OpenAI, model: str):
    answer = client.responses.create(model=model, instructions="Be brief.", input="Tell me of lighthouses")
    assert answer.status == "completed"
    assert "“Tell me of lighthouses”" in answer.output_text
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


@pytest.mark.parametrize("model", [ENGINE, GPT])
def test_responses_stream(client: openai.OpenAI, model: str):
    whole = client.responses.create(model=model, input="Tell me of lighthouses")
    events = list(client.responses.create(model=model, input="Tell me of lighthouses", stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text
    with client.responses.stream(model=model, input="Tell me of lighthouses") as stream:
        assert stream.get_final_response().output_text == whole.output_text


def test_models(client: openai.OpenAI):
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert {model: listed[model] for model in CHAT_MODELS} == {
        ENGINE: "self_hosted",
        GPT: "openai",
        CLAUDE: "anthropic",
    }
    assert client.models.retrieve(CLAUDE).id == CLAUDE


def test_wrong_key(gateway: Gateway):
    with pytest.raises(openai.AuthenticationError) as refused:
        openai_client(gateway, api_key="wrong").chat.completions.create(model=ENGINE, messages=QUESTION)
    assert refused.value.code == "invalid_api_key"
    assert "wrong" not in refused.value.message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_unknown_model(client: openai.OpenAI, stream: bool):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="demo-modle", messages=QUESTION, stream=stream)
    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"
    assert ENGINE in refused.value.message, "close names are told"


def test_unknown_model_is_not_retrieved(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("demo-modle")
    assert refused.value.code == "model_not_found"


@each_model
def test_bad_request(client: openai.OpenAI, model: str):
    """Refused before any upstream is asked, whoever serves the model."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=model, messages=[])
    assert refused.value.type
    assert "messages" in refused.value.message


def test_refusals_of_a_cloud_come_through(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=GPT, messages=QUESTION, extra_body={"novel": 1})
    assert (refused.value.code, refused.value.param) == ("unknown_parameter", "novel")


def test_a_refusal_of_the_other_dialect_is_translated(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=CLAUDE, messages=QUESTION, max_tokens=0)
    assert refused.value.type == "invalid_request_error"
    assert "max_tokens" in refused.value.message


def test_a_dialect_without_a_way_is_refused_by_name(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=CLAUDE, input="hi")
    assert "openai-embeddings" in refused.value.message


def test_a_response_comes_from_another_dialects_model(client: openai.OpenAI):
    response = client.responses.create(model=CLAUDE, input="hi")
    assert (response.status, response.model) == ("completed", CLAUDE)
    assert response.output_text
