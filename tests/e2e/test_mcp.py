"""The official OpenAI SDK asks for tools of a real MCP server; models that only know functions use them."""

import json
import sys
from pathlib import Path

import openai
import pytest
from clients import openai_client
from mixed_fleet import CLAUDE, ENGINE, GEMINI, GPT
from processes import Gateway, Process, Processes

# The simulated models call the tools whose names they read.
QUESTION = "Use get_weather and get_time for Kiel"
TOKEN = "canary-token-of-the-server"
MODELS = [ENGINE, CLAUDE, GEMINI, GPT]


class ToolServer(Process):
    """A server of tools that must be shown a token."""

    def __init__(self, log: Path):
        super().__init__("tools", [sys.executable, str(Path(__file__).with_name("tool_server.py")), TOKEN], log)
        self.url: str = json.loads(self.line(lambda line: line.startswith("{")))["url"]


@pytest.fixture(scope="module")
def server(processes: Processes) -> ToolServer:
    return processes.keep(ToolServer(processes.next_log("tools")))


@pytest.fixture(scope="module")
def gateway(processes: Processes, server: ToolServer) -> Gateway:
    engine = processes.engine(flavour="vllm", models=ENGINE, time_scale=0)
    # The account of OpenAI has the key that the client presents, which counts there.
    clouds = {
        name: processes.cloud(name, api_key=key)
        for name, key in (("openai", "sk-test"), ("anthropic", "sk-ant-test"), ("gemini", "AIza-test"))
    }
    config = processes.file(
        "mcp.yaml",
        f"""{processes.config.read_text()}
retry: {{attempts: 1}}
workers:
  - {{url: '{engine.url}'}}
  - {{url: '{clouds["openai"].url}/v1', provider: openai, api_key: sk-test}}
  - {{url: '{clouds["anthropic"].url}', provider: anthropic, api_key: sk-ant-test}}
  - {{url: '{clouds["gemini"].url}', provider: gemini, api_key: AIza-test}}
mcp:
  servers: [{{name: weather, url: '{server.url}', token: {TOKEN}}}]
  allowed_dynamic_hosts: [127.0.0.1]
""",
    )
    gateway = processes.gateway(config=config)
    gateway.wait_ready(4)
    return gateway


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> openai.OpenAI:
    return openai_client(gateway)


def check(response) -> None:
    assert response.status == "completed"
    listed, *rest = response.output
    assert listed.type == "mcp_list_tools"
    assert [tool.name for tool in listed.tools] == ["get_weather", "get_time"]
    calls = {item.name: item for item in rest if item.type == "mcp_call"}
    assert list(calls) == ["get_weather", "get_time"], "in the model's order"
    city = json.loads(calls["get_weather"].arguments)["city"]
    assert calls["get_weather"].output == f"It rains in {city}"
    assert calls["get_weather"].error is None
    assert calls["get_time"].status == "failed"
    assert calls["get_time"].error.type == "mcp_tool_execution_error"
    assert f"It rains in {city}" in response.output_text
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_tools_are_run(client: openai.OpenAI, model: str):
    tools = [{"type": "mcp", "server_label": "weather", "require_approval": "never"}]
    check(client.responses.create(model=model, input=QUESTION, tools=tools))


@pytest.mark.parametrize("model", MODELS)
def test_tools_are_run_in_a_stream(client: openai.OpenAI, model: str):
    tools = [{"type": "mcp", "server_label": "weather", "require_approval": "never"}]
    with client.responses.stream(model=model, input=QUESTION, tools=tools) as stream:
        events = list(stream)
        check(stream.get_final_response())
    kinds = [event.type for event in events]
    assert kinds.count("response.created") == kinds.count("response.completed") == 1
    assert kinds.count("response.mcp_list_tools.completed") == 1
    assert kinds.count("response.mcp_call.completed") == kinds.count("response.mcp_call.failed") == 1
    assert [event.sequence_number for event in events if hasattr(event, "sequence_number")] == sorted(
        {event.sequence_number for event in events if hasattr(event, "sequence_number")}
    )


def test_a_server_of_the_callers(client: openai.OpenAI, gateway: Gateway, server: ToolServer):
    tool = {"type": "mcp", "server_label": "mine", "server_url": server.url, "require_approval": "never"}
    response = client.responses.create(model=CLAUDE, input=QUESTION, tools=[{**tool, "authorization": TOKEN}])
    check(response)
    assert TOKEN not in response.model_dump_json()
    with pytest.raises(openai.APIStatusError) as refused:
        client.responses.create(model=CLAUDE, input=QUESTION, tools=[tool])
    assert (refused.value.status_code, refused.value.code) == (424, "external_connector_error")
    elsewhere = {**tool, "server_url": "http://169.254.169.254/mcp"}
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=CLAUDE, input=QUESTION, tools=[elsewhere])
    assert refused.value.param == "tools[0].server_url"
    assert TOKEN not in gateway.log()


def test_a_yes_is_waited_for(client: openai.OpenAI):
    question = [{"role": "user", "content": "Use get_weather for Kiel"}]
    tools = [{"type": "mcp", "server_label": "weather", "require_approval": "always"}]
    asked = client.responses.create(model=CLAUDE, input=question, tools=tools)
    request = next(item for item in asked.output if item.type == "mcp_approval_request")
    yes = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    items = [item.model_dump(exclude_none=True) for item in asked.output]
    answer = client.responses.create(model=CLAUDE, input=[*question, *items, yes], tools=tools)
    (call,) = [item for item in answer.output if item.type == "mcp_call"]
    assert call.approval_request_id == request.id
    assert call.output in answer.output_text
