"""Servers under test as child processes: started on free loopback ports, stopped at the end, their
output kept and shown when a test fails."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import httpx

T = TypeVar("T")
P = TypeVar("P", bound="Process")

READY_S = 20
STOP_S = 10

# What children see of the environment: no keys, no proxies, nothing that a developer's machine adds.
BASE_ENV = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SSL_CERT_FILE") if name in os.environ}


def wait_for(what: str, probe: Callable[[], T | None], timeout_s: float = READY_S) -> T:
    """The first value of `probe` that is true, asked for again and again until the time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(0.02)


class Process:
    """A child and its log."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None):
        self.name = name
        self.log_path = log
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**BASE_ENV, **(env or {})},
            )

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def is_running(self) -> bool:
        return self.child.poll() is None

    def line(self, wanted: Callable[[str], bool], timeout_s: float = READY_S) -> str:
        """The first line of the log that is `wanted`."""

        def look() -> str | None:
            # Only whole lines: the last one may still be in the making.
            found = next(filter(wanted, self.log().split("\n")[:-1]), None)
            if found is None and not self.is_running():
                raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{self.log()}")
            return found

        return wait_for(f"{self.name} says what is waited for", look, timeout_s)

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def wait(self, timeout_s: float = STOP_S) -> int:
        return self.child.wait(timeout_s)

    def stop(self) -> None:
        if self.is_running():
            self.child.terminate()
            try:
                self.child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(STOP_S)


class Upstream(Process):
    """A simulated engine or cloud of the testkit."""

    def __init__(self, binary: Path, kind: str, flags: Sequence[str], log: Path):
        super().__init__(kind, [str(binary), kind, *flags], log)
        ready = json.loads(self.line(lambda line: line.startswith("{")))
        self.url: str = ready["urls"][0]
        self.models: list[str] = ready["models"]

    def gauge(self, name: str) -> float:
        """A figure of an engine that wears vLLM's surface."""
        text = httpx.get(f"{self.url}/metrics").text
        line = next(line for line in text.splitlines() if line.startswith(f"vllm:{name}{{"))
        return float(line.rsplit(" ", 1)[1])

    def running(self) -> float:
        """Requests in the batch."""
        return self.gauge("num_requests_running")


class Gateway(Process):
    """`trunkline`, with the port it found."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None):
        super().__init__("trunkline", argv, log, env)
        line = self.line(lambda line: '"message":"serving"' in line)
        port = json.loads(line)["address"].rsplit(":", 1)[1]
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **more) -> httpx.Response:
        return httpx.get(self.url + path, **more)

    def post(self, path: str, body: object, **more) -> httpx.Response:
        return httpx.post(self.url + path, json=body, **more)

    def wait_ready(self, workers: int) -> None:
        """Until that many workers are ready."""

        def look() -> bool:
            answer = self.get("/readiness")
            return answer.status_code == 200 and answer.json()["healthy_workers"] >= workers

        wait_for(f"{workers} workers ready", look)

    def workers(self) -> list[dict]:
        return self.get("/workers").json()["workers"]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of `name` that carry `labels`."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        samples = (line for line in self.get("/metrics").text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(label in line for label in wanted))


class Processes:
    """All children of one test module."""

    def __init__(self, binaries: Path, directory: Path):
        self.binaries = binaries
        self.directory = directory
        self.all: list[Process] = []
        # Every gateway of the suite finds its own ports and logs in a form that tests can read.
        self.config = self.file("base.yaml", "listen: {host: 127.0.0.1, port: 0}\nmetrics: {port: 0}\nlog: {json: true}\n")

    def file(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def keep(self, process: P) -> P:
        self.all.append(process)
        return process

    def engine(self, **flags: object) -> Upstream:
        return self.keep(Upstream(self.binaries / "testkit", "engine", spelled(flags), self.next_log("engine")))

    def cloud(self, provider: str, **flags: object) -> Upstream:
        flags = {"provider": provider, **flags}
        return self.keep(Upstream(self.binaries / "testkit", "cloud", spelled(flags), self.next_log(provider)))

    def gateway(self, *arguments: str, config: Path | None = None, env: Mapping[str, str] | None = None) -> Gateway:
        env = {"TRUNKLINE_CONFIG": str(config or self.config), **(env or {})}
        argv = [str(self.binaries / "trunkline"), *arguments]
        return self.keep(Gateway(argv, self.next_log("trunkline"), env))

    def python(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        return self.keep(Process(name, [sys.executable, *arguments], self.next_log(name), env))

    def next_log(self, name: str) -> Path:
        return self.directory / f"{len(self.all):02}-{name}.log"

    def stop(self) -> None:
        # Gateways last started are in front of what was started before.
        for process in reversed(self.all):
            process.stop()


def spelled(flags: Mapping[str, object]) -> list[str]:
    return [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
