"""`trunkline connect`: what it prints, evaluated by a shell, brings the official SDKs to the gateway."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from processes import BASE_ENV, Process, Processes

# Asks through whatever the environment says, and nothing else.
OPENAI = """
import openai
answer = openai.OpenAI().chat.completions.create(model="claude-sonnet-4-5", messages=[{"role": "user", "content": "Hi"}])
print("said:", answer.choices[0].message.content)
"""
ANTHROPIC = """
import anthropic
client = anthropic.Anthropic()
answer = client.messages.create(model="qwen3", max_tokens=100, messages=[{"role": "user", "content": "Hi"}])
print("said:", answer.content[0].text)
"""
GOOGLE = """
from google import genai
client = genai.Client()
print("said:", client.models.generate_content(model="qwen3", contents="Hi").text)
"""
OLLAMA = """
import ollama
print("said:", ollama.chat(model="qwen3", messages=[{"role": "user", "content": "Hi"}]).message.content)
"""


@pytest.fixture(scope="module")
def url(processes: Processes, binaries: Path) -> str:
    log = processes.next_log("demo")
    demo = processes.keep(Process("demo", [str(binaries / "trunkline"), "demo", "--port", "0"], log))
    demo.line(lambda line: line.startswith("curl ") and line.endswith("/metrics"), timeout_s=60)
    return re.search(r"gateway +(http://\S+)", demo.log()).group(1)


def printed(binaries: Path, url: str, client: str, *more: str) -> str:
    argv = [binaries / "trunkline", "connect", client, "--url", url, "--key-env", "GATEWAY_KEY", *more]
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=BASE_ENV, timeout=20).stdout


@pytest.mark.parametrize(
    ("client", "script"),
    [("claude-code", ANTHROPIC), ("anthropic", ANTHROPIC), ("openai", OPENAI), ("google-genai", GOOGLE), ("ollama", OLLAMA)],
)
def test_what_is_printed_for_a_shell_brings_the_sdk_here(binaries: Path, url: str, client: str, script: str):
    lines = printed(binaries, url, client)
    # Keys of the vendors themselves, which are not to go before.
    stale = {"ANTHROPIC_API_KEY": "sk-ant-stale", "ANTHROPIC_AUTH_TOKEN": "stale", "GOOGLE_API_KEY": "stale"}
    argv = ["bash", "-c", f'set -eu\n{lines}\nexec "$0" -c "$1"', sys.executable, script]
    env = {**BASE_ENV, **stale, "GATEWAY_KEY": "any", "NO_PROXY": "127.0.0.1,localhost"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert re.search(r"said: \S", done.stdout), done.stderr
    assert "any" not in lines.replace("GATEWAY_KEY", ""), "the key's name alone is printed"


def test_the_printed_request_is_answered(binaries: Path, url: str):
    lines = printed(binaries, url, "curl", "--model", "qwen3")
    env = {**BASE_ENV, "GATEWAY_KEY": "any"}
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, timeout=60, env=env, check=True)
    assert '"chat.completion"' in done.stdout


def test_codex_reads_what_is_printed(binaries: Path, url: str):
    config = tomllib.loads(printed(binaries, url, "codex", "--model", "qwen3"))
    assert config["model"] == "qwen3"
    assert config["model_providers"][config["model_provider"]] == {
        "name": "Trunkline",
        "base_url": f"{url}/v1",
        "env_key": "GATEWAY_KEY",
        "wire_api": "responses",
    }


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_takes_its_lines(binaries: Path, url: str):
    lines = printed(binaries, url, "openai", "--shell", "fish")
    env = {**BASE_ENV, "GATEWAY_KEY": "k"}
    done = subprocess.run(["fish", "-c", f"{lines}\nenv"], capture_output=True, text=True, timeout=20, env=env, check=True)
    assert f"OPENAI_BASE_URL={url}/v1" in done.stdout and "OPENAI_API_KEY=k" in done.stdout
