"""The commands of the guides that users of other gateways follow, and of our own README, run as written.

Replaced are only the program's name, the gateway's own address and the addresses of machines that are
not here: `http://worker1:8000` becomes a simulated engine, `https://api.openai.com` a simulated cloud.
Models and keys are as written, since the simulated servers can be told to have them.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import Gateway, Processes, Upstream, wait_for

README = Path(__file__).parents[2] / "README.md"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
CHAT_LLAMA = r"""
curl http://localhost:30000/v1/chat/completions \
-H "Content-Type: application/json" \
-d '{
"model": "meta-llama/Llama-3.1-8B-Instruct",
"messages": [{"role": "user", "content": "Hello!"}]
}'
"""
CHAT_LLAMA3 = r"""
curl http://localhost:30000/v1/chat/completions \
-H "Content-Type: application/json" \
-d '{"model": "llama3", "messages": [{"role": "user", "content": "Hello!"}]}'
"""
CHAT_GPT = r"""
curl http://localhost:30000/v1/chat/completions \
-H "Content-Type: application/json" \
-d '{
"model": "gpt-4o",
"messages": [{"role": "user", "content": "Hello!"}]
}'
"""
CHAT_CLAUDE = r"""
curl http://localhost:30000/v1/chat/completions \
-H "Content-Type: application/json" \
-d '{
"model": "claude-sonnet-4-20250514",
"messages": [{"role": "user", "content": "Hello"}]
}'
"""
LIST_WORKERS = "curl http://localhost:30000/workers"
HEALTH = "curl http://localhost:30000/health"


@dataclass
class Machines:
    """What the guides' addresses stand for."""

    engines: list[Upstream]
    openai: Upstream
    anthropic: Upstream

    def here(self, command: str, gateway: Gateway | None = None) -> list[str]:
        """The command's words, with addresses that exist."""
        replaced = [
            ("https://api.openai.com", self.openai.url),
            ("https://api.anthropic.com", self.anthropic.url),
            *((f"http://worker{n + 1}:8000", engine.url) for n, engine in enumerate(self.engines)),
            *((f"http://gpu{n + 1}:8000", engine.url) for n, engine in enumerate(self.engines)),
            ("http://worker:8000", self.engines[0].url),
            ("http://localhost:8000", self.engines[0].url),
            # The suite's own file says 127.0.0.1 and any free port.
            ("--host 0.0.0.0", ""),
            ("--port 30000", ""),
        ]
        if gateway:
            replaced.append(("http://localhost:30000", gateway.url))
        for there, here in replaced:
            command = command.replace(there, here)
        return shlex.split(command.replace("\\\n", " "))


@pytest.fixture(scope="module")
def machines(processes: Processes) -> Machines:
    return Machines(
        engines=[processes.engine(models=f"{LLAMA},llama3", time_scale=0) for _ in range(3)],
        openai=processes.cloud("openai", models="gpt-4o", api_key="sk-..."),
        anthropic=processes.cloud("anthropic", models="claude-sonnet-4-20250514", api_key="sk-ant-..."),
    )


@pytest.fixture
def start(processes: Processes, machines: Machines) -> Iterator:
    """Starts what a guide starts, and stops it after the test."""
    started = []

    def start(command: str, workers: int = 0, **env: str) -> Gateway:
        program, *arguments = machines.here(command)
        assert program == "smg"
        gateway = processes.gateway(*arguments, env=env)
        started.append(gateway)
        if workers:
            gateway.wait_ready(workers)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


def curl(machines: Machines, gateway: Gateway, command: str) -> str:
    """Runs a curl command; its output."""
    program, *arguments = machines.here(command, gateway)
    assert program == "curl"
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "10", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}\n{done.stdout}"
    return done.stdout


def assert_chat(answer: str) -> None:
    (choice,) = json.loads(answer)["choices"]
    assert "“Hello" in choice["message"]["content"]


ONE_WORKER = "smg --worker-urls http://localhost:8000"
THREE_WORKERS = r"""
smg \
--worker-urls http://worker1:8000 http://worker2:8000 http://worker3:8000 \
--policy round_robin \
--host 0.0.0.0 \
--port 30000
"""


@pytest.mark.parametrize(("command", "workers"), [(ONE_WORKER, 1), (THREE_WORKERS, 3)], ids=["one", "three"])
def test_static_workers(start, machines: Machines, command: str, workers: int):
    gateway = start(command, workers)
    assert curl(machines, gateway, HEALTH) == "OK"
    listed = json.loads(curl(machines, gateway, LIST_WORKERS))
    assert listed["total"] == workers
    assert {worker["url"] for worker in listed["workers"]} == {engine.url for engine in machines.engines[:workers]}
    for command in [CHAT_LLAMA, CHAT_LLAMA3] * workers:
        assert_chat(curl(machines, gateway, command))
    served = {worker["id"]: gateway.metric("trunkline_attempts_total", worker=worker["id"]) for worker in gateway.workers()}
    assert all(served.values()), "round robin uses every worker"


def test_cloud_worker_openai(start, machines: Machines):
    gateway = start(
        r"""
        smg \
        --backend openai \
        --worker-urls https://api.openai.com \
        --host 0.0.0.0 \
        --port 30000
        """,
        1,
        OPENAI_API_KEY="sk-...",
    )
    assert_chat(curl(machines, gateway, CHAT_GPT))


def test_cloud_worker_anthropic(start, machines: Machines):
    # As written this says `--backend openai`: the address alone tells whose API it is. An address on this
    # machine cannot, so here the flag has to.
    gateway = start(
        r"""
        smg \
        --backend anthropic \
        --worker-urls https://api.anthropic.com \
        --host 0.0.0.0 \
        --port 30000
        """,
        1,
        ANTHROPIC_API_KEY="sk-ant-...",
    )
    assert_chat(curl(machines, gateway, CHAT_CLAUDE))


@pytest.mark.parametrize(
    "command",
    [
        "smg --worker-urls http://gpu1:8000 http://gpu2:8000",
        "smg --worker-urls http://gpu1:8000 http://gpu2:8000 --policy cache_aware",
        "smg --worker-urls http://gpu1:8000 http://gpu2:8000 --policy cache_aware --cache-threshold 0.5",
        "smg --worker-urls http://gpu1:8000 http://gpu2:8000 --policy prefix_hash",
        "smg --worker-urls http://gpu1:8000 http://gpu2:8000 --policy manual --assignment-mode min_group",
        "smg --backend openai --worker-urls https://api.openai.com --host 0.0.0.0 --port 30000",
        "smg --backend openai --worker-urls https://api.anthropic.com --host 0.0.0.0 --port 30000",
        "smg --backend openai --worker-urls https://api.x.ai --host 0.0.0.0 --port 30000",
        "smg --enable-igw --host 0.0.0.0 --port 30000",
    ],
)
def test_command_lines_are_good_as_written(binaries: Path, command: str):
    done = subprocess.run([binaries / "trunkline", "check", *shlex.split(command)[1:]], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("smg --worker-urls http://gpu1:8000 --ha-mesh --seeds 10.0.0.2:30001,10.0.0.3:30001", "--ha-mesh"),
        ("smg --worker-urls grpc://worker1:50051 grpc://worker2:50052 --model-path x", "--model-path"),
        ("smg --worker-urls grpc://worker1:50051", "grpc"),
    ],
)
def test_what_comes_later_is_refused_by_name(binaries: Path, command: str, named: str):
    done = subprocess.run(
        [binaries / "trunkline", "check", *shlex.split(command)[1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert named in done.stderr
    assert "not in this build" in done.stderr


def test_igw_mode(start, machines: Machines):
    gateway = start("smg --enable-igw --host 0.0.0.0 --port 30000")
    assert curl(machines, gateway, HEALTH) == "OK"
    assert json.loads(curl(machines, gateway, LIST_WORKERS))["total"] == 0

    added = json.loads(
        curl(
            machines,
            gateway,
            r"""
            curl -X POST http://localhost:30000/workers \
            -H "Content-Type: application/json" \
            -d '{"url": "http://worker1:8000"}'
            """,
        )
    )
    worker = added["worker_id"]
    assert added == {
        "status": "accepted",
        "worker_id": worker,
        "url": machines.engines[0].url,
        "location": f"/workers/{worker}",
        "message": "Worker addition queued for background processing",
    }
    gateway.wait_ready(1)
    assert_chat(curl(machines, gateway, CHAT_LLAMA))

    (listed,) = json.loads(curl(machines, gateway, LIST_WORKERS))["workers"]
    assert (listed["id"], listed["status"], listed["worker_type"]) == (worker, "ready", "regular")
    assert (listed["priority"], listed["cost"], listed["labels"]) == (50, 1.0, {})

    removed = curl(machines, gateway, f"curl -X DELETE http://localhost:30000/workers/{worker}")
    assert json.loads(removed)["status"] == "accepted"
    wait_for("the worker is gone", lambda: json.loads(curl(machines, gateway, LIST_WORKERS))["total"] == 0)


def test_every_field_of_a_worker(start, machines: Machines):
    gateway = start("smg --enable-igw")
    body = r"""
    {
    "url": "http://worker:8000",
    "api_key": "optional-key",
    "runtime": "sglang",
    "worker_type": "regular",
    "priority": 50,
    "cost": 1.0,
    "labels": {"region": "us-east"}
    }
    """
    added = curl(
        machines, gateway, f"curl -X POST http://localhost:30000/workers -H 'Content-Type: application/json' -d '{body}'"
    )
    worker = json.loads(added)["worker_id"]
    gateway.wait_ready(1)
    shown = json.loads(curl(machines, gateway, f"curl http://localhost:30000/workers/{worker}"))
    assert (shown["runtime"], shown["labels"]["region"]) == ("sglang", "us-east")
    assert "optional-key" not in json.dumps(shown), "keys are never shown"
    assert_chat(curl(machines, gateway, CHAT_LLAMA))


def test_external_providers(start, machines: Machines):
    gateway = start("smg --enable-igw")
    for command in [
        r"""
        curl -X POST http://localhost:30000/workers \
        -H "Content-Type: application/json" \
        -d '{
        "url": "https://api.openai.com/v1",
        "api_key": "sk-...",
        "runtime_type": "external",
        "provider": "openai"
        }'
        """,
        r"""
        curl -X POST http://localhost:30000/workers \
        -H "Content-Type: application/json" \
        -d '{
        "url": "https://api.anthropic.com/v1",
        "provider": "anthropic",
        "api_key": "sk-ant-..."
        }'
        """,
    ]:
        assert json.loads(curl(machines, gateway, command))["status"] == "accepted"
    gateway.wait_ready(2)
    # Each goes to its provider by the model's name, with that provider's key.
    assert_chat(curl(machines, gateway, CHAT_GPT))
    assert_chat(curl(machines, gateway, CHAT_CLAUDE))

    def listed(command: str) -> set[str]:
        return {model["id"] for model in json.loads(curl(machines, gateway, command))["data"]}

    # With a key, what it reaches: the first inventory that is not empty.
    owned = listed('curl http://localhost:30000/v1/models -H "Authorization: Bearer sk-..."')
    assert "gpt-4o" in owned and "claude-sonnet-4-20250514" not in owned
    assert {"gpt-4o", "claude-sonnet-4-20250514"} <= listed("curl http://localhost:30000/v1/models")


def readme_commands(program: str) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    # A command ends with a line that has no backslash and leaves no quote open.
    commands, open_one = [], ""
    for line in "\n".join(blocks).splitlines():
        open_one += line + "\n"
        if not line.endswith("\\") and open_one.count("'") % 2 == 0:
            commands.append(open_one.strip())
            open_one = ""
    return [command for command in commands if command.startswith(f"{program} ")]


def test_readme_curls(start, machines: Machines):
    gateway = start("smg --enable-igw")
    commands = readme_commands("curl")
    posts = [command for command in commands if "-X POST" in command]
    (delete,) = (command for command in commands if "-X DELETE" in command)
    asks = [command for command in commands if command not in posts and command != delete]
    assert (len(posts), len(asks)) >= (2, 5)
    for command in posts:
        assert json.loads(curl(machines, gateway, command))["status"] == "accepted"
    gateway.wait_ready(len(posts))
    for command in asks:
        assert curl(machines, gateway, command)
    worker = gateway.workers()[0]["id"]
    removed = json.loads(curl(machines, gateway, delete.replace("{worker_id}", worker)))
    assert (removed["status"], removed["worker_id"]) == ("accepted", worker)


def test_readme_command_lines(machines: Machines, binaries: Path, tmp_path: Path):
    (tmp_path / "gateway.yaml").write_text(f"workers: [{{url: '{machines.engines[0].url}'}}]\n")
    joined = (command.replace("\\\n", " ") for command in readme_commands("trunkline"))
    commands = [shlex.split(command, comments=True)[1:] for command in joined]
    assert len(commands) >= 3
    for words in commands:
        words = words if words[0] in ("check", "explain") else ["check", *words]
        done = subprocess.run([binaries / "trunkline", *words], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr.decode()}"
