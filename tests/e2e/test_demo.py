"""`trunkline demo`: what it prints to try can be tried."""

import re
import shlex
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
from processes import Process, Processes, wait_for

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
