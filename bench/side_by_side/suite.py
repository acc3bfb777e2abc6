"""The measurements, the same for every target. Each is one dictionary: target, test, and what was seen."""

import contextlib
import http.client
import json
import subprocess
import time

from .processes import free_ports, memory_mib, tree

TESTS = ("start", "closed", "bodies", "rate", "paced", "saturated", "hold")
# The rest shows nothing about translating.
TRANSLATED = ("closed", "paced", "saturated")

CONNECTIONS = (1, 16, 64, 256, 1024)
BODIES = {"0.2KB": 200, "8KB": 8 << 10, "128KB": 128 << 10, "1MB": 1 << 20}
RATES = (200, 1000, 5000)
CHUNKS = 64
START_SECONDS = 60
# Any answer of the mock holds it, translated or not.
MOCK_SAYS = b"A message leaves the coast"


class Bench:
    """The mock upstream and the load generator."""

    def __init__(self, processes, testkit, mock_ports, scale, scratch):
        self.processes, self.testkit, self.scale, self.scratch = processes, testkit, scale, scratch
        self.mock_ports = mock_ports
        for name, size in BODIES.items():
            for stream in ("false", "true"):
                body = processes.output([testkit, "body", "--bytes", size, "--stream", stream], 10)
                self.body(name, stream == "true").write_bytes(body)
        ports = ",".join(map(str, mock_ports))
        self.mock = processes.start("mock", [testkit, "mock", "--ports", ports])
        until(lambda: self.control(), "the mock", 10)

    def body(self, size, stream=False):
        return self.scratch / f"{size}{'-stream' if stream else ''}.json"

    def control(self, **settings):
        """Changes the mock's pace; its counters."""
        query = "&".join(f"{name}={value}" for name, value in settings.items())
        status, body = ask(self.mock_ports[0], f"/ctl?{query}")
        return json.loads(body) if status == 200 else None

    def pace(self, chunks=CHUNKS, delay_ms=0, burst=1):
        return self.control(chunks=chunks, delay_ms=delay_ms, burst=burst, ttft_ms=0, latency_ms=0)


class Gateway:
    """A target that runs, or the mock in its place."""

    def __init__(self, bench, target):
        self.bench, self.target = bench, target
        self.process, self.port = None, bench.mock_ports[0]

    def start(self):
        """Seconds until the first good answer to a chat request, which is what clients wait for."""
        if self.target.command is None:
            return 0.0
        self.port, aux = free_ports(2)
        began = time.monotonic()
        command = self.target.command(self.port, aux)
        self.process = self.bench.processes.start(self.target.name, command, self.target.env)
        question = self.bench.body("0.2KB").read_bytes()

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.target.name} ended with {self.process.returncode}")
            status, body = ask(self.port, "/v1/chat/completions", question)
            return status == 200 and MOCK_SAYS in body

        until(answers, self.target.name, START_SECONDS)
        return time.monotonic() - began

    def stop(self):
        if self.process:
            self.bench.processes.stop(self.process)
            self.process = None

    def pids(self):
        return tree(self.process.pid) if self.process else []

    def command(self, mode, connections, seconds, body="0.2KB", warm=0.5, rate=None):
        streams = mode in ("stream", "hold")
        window = seconds * self.bench.scale
        command = [self.bench.testkit, "load", "--mode", mode, "--port", self.port,
                   "--body", self.bench.body(body, streams), "--connections", connections,
                   "--warm-s", warm, "--window-s", window, "--cpu", f"mock={self.bench.mock.pid}"]
        if rate:
            command += ["--rate", rate]
        if pids := self.pids():
            command += ["--cpu", "gateway=" + ",".join(map(str, pids))]
        return command, window + warm

    def load(self, mode, connections, seconds, **more):
        command, lasts = self.command(mode, connections, seconds, **more)
        return self.seen(json.loads(self.bench.processes.output(command, lasts + 30)))

    def seen(self, report):
        """The report with the gateway's share worked out."""
        cpu = report["cpu_us"].get("gateway")
        if cpu is None:
            return report
        requests, events = max(report["ok"], 1), max(report["events"], 1)
        return report | {
            "us_per_request": (cpu["user"] + cpu["system"]) / requests,
            "user_us_per_request": cpu["user"] / requests,
            "system_us_per_request": cpu["system"] / requests,
            "us_per_event": (cpu["user"] + cpu["system"]) / events,
            "memory_mib": memory_mib(self.pids()),
        }


def run(bench, target, tests, held):
    """Measurements as they are made. What fails becomes a measurement too, and ends the target's turn."""
    gateway = Gateway(bench, target)
    tests = [test for test in tests if test in TRANSLATED or not target.translates]
    bench.pace()
    try:
        for test, seen in measurements(gateway, tests, held):
            yield {"target": target.name, "translates": target.translates, "test": test, **seen}
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        yield {"target": target.name, "translates": target.translates, "test": "failed", "why": str(error)[:400]}
    finally:
        gateway.stop()
        with contextlib.suppress(OSError):
            bench.pace()


def measurements(gateway, tests, held):
    bench, target = gateway.bench, gateway.target
    if "start" in tests and target.command:
        yield "start", start(gateway)
    gateway.start()
    gateway.load("closed", 16, 1.5 if target.slow else 0.5, warm=0)
    best = 0
    if "closed" in tests:
        for connections in CONNECTIONS:
            seen = gateway.load("closed", connections, 3)
            best = max(best, seen["rps"])
            yield f"closed-{connections}", seen
    if "bodies" in tests:
        for size, connections in (("8KB", 16), ("128KB", 16), ("1MB", 4)):
            yield f"body-{size}", gateway.load("closed", connections, 2.5, body=size)
    if "rate" in tests:
        for rate in RATES:
            # Beyond what it can do there is no latency to speak of, only a queue that grows.
            if not best or best > 1.25 * rate:
                yield f"rate-{rate}", gateway.load("rate", 512, 3, rate=rate)
    if "paced" in tests:
        for connections, delay_ms in ((1, 5), (16, 20), (200, 20)):
            bench.pace(delay_ms=delay_ms)
            # One whole stream first, so that the opening of all at once is not measured.
            warm = CHUNKS * delay_ms / 1000 + 0.1
            yield f"paced-{connections}", gateway.load("stream", connections, 4, warm=warm)
        bench.pace()
    if "saturated" in tests:
        for connections, burst in ((16, 1), (64, 1), (16, 16)):
            bench.pace(burst=burst)
            yield f"saturated-{connections}-by-{burst}", gateway.load("stream", connections, 3)
        bench.pace()
    if "hold" in tests:
        yield f"hold-{held}", hold(gateway, held)


def start(gateway):
    """The shortest of three starts, and the memory half a second later."""
    seconds, memory = [], []
    for _ in range(3):
        seconds.append(gateway.start())
        time.sleep(0.5)
        memory.append(memory_mib(gateway.pids()))
        gateway.stop()
    return {"seconds": min(seconds), "all_seconds": seconds, "memory_mib": min(memory)}


def hold(gateway, held):
    """Streams of one event a second each; what they weigh, and what is left of them upstream when all
    clients are gone at once."""
    bench = gateway.bench
    gateway.stop()
    gateway.start()
    gateway.load("closed", 4, 0.3, warm=0)
    before = memory_mib(gateway.pids())
    bench.pace(chunks=100_000, delay_ms=1000)
    per_s = 200 if gateway.target.slow else 2000
    command, lasts = gateway.command("hold", held, 5, warm=2, rate=per_s)
    ramp = held / per_s
    generator = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
    try:
        time.sleep(ramp + lasts - 1)
        during, upstream = memory_mib(gateway.pids()), bench.control()
        report, _ = generator.communicate(timeout=30)
    finally:
        generator.kill()
        generator.wait()
    time.sleep(1)
    left = bench.control()
    return gateway.seen(json.loads(report)) | {
        "asked": held,
        "kib_per_stream": (during - before) * 1024 / held if gateway.process else None,
        "memory_mib": during,
        "open_upstream": upstream["open_streams"],
        "left_upstream": left["open_streams"],
    }


def ask(port, path, body=None):
    """One request on a connection of its own: status and body; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"content-type": "application/json"} if body else {}
        connection.request("POST" if body else "GET", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def until(holds, who, seconds):
    """Waits for `holds`, looking often: starts of a few milliseconds are to be told apart."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{who} gave no good answer in {seconds} s")
        time.sleep(0.002)
