"""`trunkline demo`: what it prints to try can be tried."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from processes import Process, Processes, wait_for
from speakers import Chat, Gemini, Messages, Responses, Speaker
from test_matrix import QUOTED, RESULTS, TOOL_QUESTION, TOOLS

# What an answer to each printed command has in it.
TRIED = {
    "/v1/chat/completions": "chat.completion",
    "-N /v1/chat/completions": "data: [DONE]",
    "/v1/messages": '"type":"message"',
    "/v1beta/models/llama3:generateContent": '"finishReason":"STOP"',
    "-N /v1beta/models/claude-sonnet-4-5:streamGenerateContent?alt=sse": '"finishReason":"STOP"',
    "/model/gemini-3-pro-preview/converse": '"stopReason":"end_turn"',
    "-N /api/chat": '"done":true',
    "/admin/v1/explain": '"candidates"',
    "/workers": '"total":7',
    "/metrics": "trunkline_requests_total",
}


@pytest.fixture(scope="module")
def demo(processes: Processes, binaries: Path) -> Process:
    log = processes.next_log("demo")
    demo = processes.keep(Process("demo", [str(binaries / "trunkline"), "demo", "--port", "0"], log))
    demo.line(lambda line: line.startswith("curl ") and line.endswith("/metrics"), timeout_s=60)
    return demo


def test_every_printed_command_works(demo: Process):
    commands = [shlex.split(line) for line in demo.log().splitlines() if line.startswith("curl ")]
    tried = {}
    for command in commands:
        path = next(re.sub("http://[^/]*", "", word) for word in command if word.startswith("http://"))
        done = subprocess.run(
            ["curl", "--silent", "--fail-with-body", "--max-time", "20", *command[1:]],
            capture_output=True,
            text=True,
            check=True,
        )
        tried[f"-N {path}" if "-N" in command else path] = done.stdout
    assert tried.keys() == TRIED.keys()
    for path, part in TRIED.items():
        assert part in tried[path], path


README = Path(__file__).parents[2] / "README.md"
# Models of an engine, of Anthropic, of Google and of Amazon.
MODELS = ["qwen3", "claude-sonnet-4-5", "gemini-3-pro-preview", "amazon.nova-pro-v1:0"]


class Demo:
    """Where the demo's gateway is, as the SDKs' clients want to know it."""

    def __init__(self, demo: Process):
        self.url = re.search(r"gateway +(http://\S+)", demo.log()).group(1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", [Chat, Responses, Messages, Gemini], ids=lambda kind: kind.name)
def test_sdks_reach_every_kind_of_model(demo: Process, kind: type[Speaker], model: str):
    # Whatever key an SDK happens to hold.
    speaker = kind(Demo(demo), "none")
    conversation = speaker.user(TOOL_QUESTION)
    first = speaker.ask(model, conversation, tools=TOOLS, stream=True)
    assert [call.name for call in first.calls] == list(RESULTS)
    conversation += first.turn + speaker.results(first.calls, RESULTS.values())
    assert QUOTED in speaker.ask(model, conversation, tools=TOOLS).text


def test_lists_show_all_models_whatever_key_an_sdk_holds(demo: Process):
    for headers in ({}, {"authorization": "Bearer any"}, {"x-goog-api-key": "any"}):
        answer = httpx.get(f"{Demo(demo).url}/v1/models", headers=headers).json()
        listed = {model.get("id") or model["name"].removeprefix("models/") for model in answer.get("data") or answer["models"]}
        assert set(MODELS) <= listed, headers


def test_the_session_of_the_readme(demo: Process):
    (code, shown) = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", README.read_text(), re.DOTALL).groups()
    assert "http://localhost:30000" in code
    code = code.replace("http://localhost:30000", Demo(demo).url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    # Ids are drawn anew, and the reader sees the beginning of each.
    plain = [re.sub(r"\"id\": ?\"[^\"]*|\"signature\": ?\"[^\"]*", "", text) for text in (done.stdout, shown)]
    assert plain[0] == plain[1], done.stderr


def test_nothing_is_left_running_after_the_scenes(demo: Process):
    url = re.search(r"gateway +(http://\S+)", demo.log()).group(1)
    workers = httpx.get(f"{url}/workers").json()["workers"]
    assert len(workers) == 7

    def idle() -> bool:
        return all(worker["load"] == 0 for worker in httpx.get(f"{url}/workers").json()["workers"])

    wait_for("every worker is idle", idle, timeout_s=2)


def test_it_ends_when_interrupted(demo: Process):
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0
