"""Every official SDK against every kind of upstream: what one client can do with a model, all can."""

import base64

import mixed_fleet
import pydantic
import pytest
from mixed_fleet import BEDROCK, CLAUDE, ENGINE, GATEWAY_KEY, GEMINI
from processes import Gateway, Processes
from speakers import SPEAKERS, Gemini, Messages, Ollama, Speaker, Tool
from test_openai_sdk import PNG

UPSTREAMS = {"engine": ENGINE, "anthropic": CLAUDE, "gemini": GEMINI, "bedrock": BEDROCK}
QUESTION = "Tell me of lighthouses"
# The simulated models call the tools whose names they read, and quote what these return.
TOOL_QUESTION = "Use get_weather, get_time and get_tide for Kiel"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
RESULTS = {"get_weather": "17 degrees", "get_time": "five past nine", "get_tide": "high at noon"}
TOOLS = [Tool(name, CITY) for name in RESULTS]
# The least that all take, and less than any answer has.
LIMIT = 16
QUOTED = f"The tools answered: {'; '.join(RESULTS.values())}."


class Tower(pydantic.BaseModel):
    name: str
    height_m: int


@pytest.fixture(scope="module")
def gateway(processes: Processes) -> Gateway:
    return mixed_fleet.start(processes)


@pytest.fixture(scope="module", params=SPEAKERS, ids=lambda kind: kind.name)
def speaker(gateway: Gateway, request: pytest.FixtureRequest) -> Speaker:
    return request.param(gateway, GATEWAY_KEY)


each_model = pytest.mark.parametrize("model", UPSTREAMS.values(), ids=UPSTREAMS.keys())
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@each_model
def test_text(speaker: Speaker, model: str):
    whole = speaker.ask(model, speaker.user(QUESTION), system="Be brief.")
    assert f"“{QUESTION}”" in whole.text
    assert (whole.finish, whole.calls) == ("stop", [])
    assert min(whole.usage) > 0
    streamed = speaker.ask(model, speaker.user(QUESTION), system="Be brief.", stream=True)
    assert (streamed.text, streamed.finish, streamed.usage) == (whole.text, whole.finish, whole.usage)


@each_model
@both_ways
def test_limit(speaker: Speaker, model: str, stream: bool):
    answer = speaker.ask(model, speaker.user(QUESTION), limit=LIMIT, stream=stream)
    assert (answer.finish, answer.usage[1]) == ("length", LIMIT)


@each_model
@both_ways
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
def test_three_tools_and_the_loop(speaker: Speaker, model: str, stream: bool, thinks: bool):
    asked = {"tools": TOOLS, "thinks": thinks, "stream": stream}
    conversation = speaker.user(TOOL_QUESTION)
    first = speaker.ask(model, conversation, **asked)
    assert [(call.name, call.arguments) for call in first.calls] == [(name, {"city": "Kiel"}) for name in RESULTS]
    assert first.finish == "tools"
    ids = [call.id for call in first.calls if call.id]
    assert len(set(ids)) == len(ids)
    if thinks:
        assert "get_weather" in first.thought
    conversation += first.turn + speaker.results(first.calls, RESULTS.values())
    second = speaker.ask(model, conversation, **asked)
    assert QUOTED in second.text
    assert (second.finish, second.calls) == ("stop", [])
    # And on: what was thought and called before stays in order.
    conversation += second.turn + speaker.user("And get_tide for Oslo alone")
    third = speaker.ask(model, conversation, **asked)
    assert [(call.name, call.arguments) for call in third.calls] == [("get_tide", {"city": "Oslo"})]
    conversation += third.turn + speaker.results(third.calls, ["low at ten"])
    assert "The tool answered: low at ten." in speaker.ask(model, conversation, **asked).text


@each_model
def test_thinking(speaker: Speaker, model: str):
    whole = speaker.ask(model, speaker.user(QUESTION), thinks=True)
    assert "lighthouses" in whole.thought
    assert f"“{QUESTION}”" in whole.text
    streamed = speaker.ask(model, speaker.user(QUESTION), thinks=True, stream=True)
    assert (streamed.thought, streamed.text, streamed.usage) == (whole.thought, whole.text, whole.usage)
    for answer in (whole, streamed):
        conversation = [*speaker.user(QUESTION), *answer.turn, *speaker.user("And of lightships?")]
        assert "“And of lightships?”" in speaker.ask(model, conversation, thinks=True).text


@each_model
@both_ways
def test_structured_output(speaker: Speaker, model: str, stream: bool):
    answer = speaker.ask(model, speaker.user(QUESTION), schema=Tower, stream=stream)
    assert isinstance(answer.parsed, Tower)
    assert answer.finish == "stop"


@each_model
@both_ways
def test_image(speaker: Speaker, model: str, stream: bool):
    question = speaker.user("What is on this picture?", png=base64.b64decode(PNG))
    assert "“What is on this picture?”" in speaker.ask(model, question, stream=stream).text


@both_ways
def test_wrong_key(gateway: Gateway, speaker: Speaker, stream: bool):
    stranger = type(speaker)(gateway, "wrong")
    with pytest.raises(stranger.raises[401]) as refused:
        stranger.ask(ENGINE, stranger.user(QUESTION), stream=stream)
    assert stranger.status(refused.value) in (401, 403)
    assert "wrong" not in stranger.message(refused.value)


@both_ways
def test_unknown_model(speaker: Speaker, stream: bool):
    with pytest.raises(speaker.raises[404]) as refused:
        speaker.ask("demo-modle", speaker.user(QUESTION), stream=stream)
    assert speaker.status(refused.value) == 404
    assert ENGINE in speaker.message(refused.value), "close names are told"


@each_model
@both_ways
def test_rate_limit(speaker: Speaker, model: str, stream: bool):
    with pytest.raises(speaker.raises[429]) as refused:
        speaker.ask(model, speaker.user("simulate:rate-limit"), stream=stream)
    assert speaker.status(refused.value) == 429
    # Engines and Amazon do not say when to come back; Google says it in the body, which its clients get as it is.
    if model == CLAUDE or (model == GEMINI and speaker.name != "gemini"):
        assert speaker.header(refused.value, "retry-after") == "1"


@each_model
@both_ways
def test_bad_request(speaker: Speaker, model: str, stream: bool):
    with pytest.raises(speaker.raises[400]) as refused:
        speaker.ask(model, speaker.user("simulate:reject"), stream=stream)
    assert speaker.status(refused.value) == 400
    assert "cannot be served as it is" in speaker.message(refused.value)


@each_model
def test_a_stream_that_breaks_is_no_answer(speaker: Speaker, model: str):
    with pytest.raises(speaker.breaks):
        speaker.ask(model, speaker.user("simulate:break"), stream=True)


@each_model
def test_both_ways_to_show_a_key_to_anthropic(gateway: Gateway, model: str):
    speaker = Messages(gateway, "replaced")
    speaker.client = speaker.client.copy(auth_token=GATEWAY_KEY)
    speaker.client.api_key = None
    assert f"“{QUESTION}”" in speaker.ask(model, speaker.user(QUESTION), stream=True).text


def test_models_as_each_sdk_lists_them(gateway: Gateway):
    gemini, ollama = (kind(gateway, GATEWAY_KEY).client for kind in (Gemini, Ollama))
    wanted = set(UPSTREAMS.values())
    assert wanted <= {model.name.removeprefix("models/") for model in gemini.models.list()}
    assert gemini.models.get(model=ENGINE).name == f"models/{ENGINE}"
    assert wanted <= {model.model for model in ollama.list().models}
    assert "tools" in ollama.show(CLAUDE).capabilities
