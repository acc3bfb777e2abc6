"""A canary in every place a secret can be, and a search through everything that leaves the gateway."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from processes import Gateway, Processes

GATEWAY_KEY = "canary-gateway-7f3a9c"
SEAL_KEY = "canary-seal-key-2b8e41"
# The operator's: from the environment, from the file, and for one engine of its own.
STORED = {
    "openai": "sk-proj-canary-stored-openai-11",
    "anthropic": "sk-ant-canary-stored-anthropic-22",
    "gemini": "AIzaCanaryStoredGemini33",
    "groq": "gsk_canary_stored_groq_44",
    "engine": "canary-stored-engine-55",
    # Lent for a while by whoever is asked with the secrets below.
    "foundry": "eyJcanary.lent.by-entra-81",
    "vertex": "ya29.canary-lent-by-google-82",
}
# A key made for tests; a line of it stands for all.
SERVICE_ACCOUNT = (Path(__file__).parents[2] / "crates/credentials/tests/data/service-account.pem").read_text()
# What credentials are lent for: told to those who lend them and nobody else.
LENDERS = {"entra": "canary-entra-secret-83", "google": SERVICE_ACCOUNT.splitlines()[3]}
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary/stored/aws/secret+66"}
# The callers' own.
CALLERS = {
    "openai": "sk-proj-canary-caller-openai-71",
    "anthropic": "sk-ant-canary-caller-anthropic-72",
    "gemini": "AIzaCanaryCallerGemini73",
    "groq": "gsk_canary_caller_groq_74",
}
MODELS = {
    "openai": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "groq": "llama-3.3-70b-versatile",
    "bedrock": "amazon.nova-pro-v1:0",
    "engine": "own-model",
    "foundry": "gpt-of-foundry",
    "vertex": "gemini-2.5-pro",
}
HELLO = [{"role": "user", "content": "Hi"}]
# What makes a simulated server fail, so that its errors pass through as well.
FAILURES = ["simulate:reject", "simulate:rate-limit", "simulate:overload", "simulate:crash", "simulate:break"]


@dataclass
class World:
    gateway: Gateway
    records: dict[str, Path]
    # Everything clients got: heads and bodies.
    answers: list[str]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        headers = {"x-api-key": GATEWAY_KEY} | {name.replace("_", "-"): value for name, value in headers.items()}
        answer = httpx.request(method, self.gateway.url + path, json=body, headers=headers, timeout=30)
        self.answers.append(f"{method} {path}\n{dict(answer.headers)}\n{answer.text}")
        return answer


class Lender(BaseHTTPRequestHandler):
    """Stands for the token endpoints of Entra and Google."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["content-length"])).decode()
        self.asked.append(f"{self.path}?{form}")
        token = STORED["vertex"] if self.path == "/google" else STORED["foundry"]
        body = json.dumps({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def lender() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def world(processes: Processes, lender: str) -> World:
    records = {name: processes.directory / f"{name}-sent.jsonl" for name in MODELS}
    # None of them checks keys as strictly as it could: what a wrong one is sent must not depend on that.
    urls = {}
    for name, kind in (("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "gemini"), ("groq", "openai")):
        cloud = processes.cloud(kind, api_key=STORED[name], models=MODELS[name], record=records[name])
        urls[name] = cloud.url
    secret = AWS["AWS_SECRET_ACCESS_KEY"]
    urls["bedrock"] = processes.cloud("bedrock", api_key=secret, models=MODELS["bedrock"], record=records["bedrock"]).url
    for name, kind in (("foundry", "openai"), ("vertex", "vertex")):
        cloud = processes.cloud(kind, api_key=STORED[name], models=MODELS[name], record=records[name])
        urls[name] = cloud.url
    engine = processes.engine(models=MODELS["engine"], api_key=STORED["engine"], record=records["engine"])
    urls["engine"] = engine.url
    workers = [
        {"url": urls["openai"], "provider": "openai"},
        {"url": urls["anthropic"], "provider": "anthropic"},
        {"url": urls["gemini"], "provider": "gemini", "api_key": STORED["gemini"]},
        {"url": urls["groq"], "provider": "groq", "models": [MODELS["groq"]]},
        {"url": urls["bedrock"], "provider": "bedrock", "models": [MODELS["bedrock"]]},
        {"url": urls["engine"], "api_key": STORED["engine"]},
        {
            "url": f"{urls['foundry']}/v1",
            "provider": "azure-foundry",
            "models": [MODELS["foundry"]],
            "azure": {"tenant_id": "acme", "client_id": "gateway", "client_secret": LENDERS["entra"]},
        },
        {
            "url": urls["vertex"],
            "provider": "vertex",
            "models": [MODELS["vertex"]],
            "project": "acme",
            "location": "us-east5",
        },
    ]
    settings = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "metrics": {"port": 0},
        "log": {"json": True},
        "retry": {"attempts": 2, "initial_backoff": "5ms", "max_backoff": "10ms"},
        "translate": {"seal_key": SEAL_KEY},
        "provider_keys": {"groq": STORED["groq"]},
        "workers": workers,
    }
    account = {"client_email": "gateway@acme.example", "private_key": SERVICE_ACCOUNT, "token_uri": f"{lender}/google"}
    env = AWS | {
        "AZURE_AUTHORITY_HOST": lender,
        "VERTEX_AI_SERVICE_ACCOUNT_JSON": json.dumps({"type": "service_account"} | account),
        "AWS_REGION": "eu-west-1",
        "OPENAI_API_KEY": STORED["openai"],
        "ANTHROPIC_API_KEY": STORED["anthropic"],
        "TRUNKLINE_API_KEY": GATEWAY_KEY,
        # As talkative as it gets.
        "RUST_LOG": "trace",
    }
    config = processes.file("secrets.yaml", json.dumps(settings))
    world = World(processes.gateway(config=config, env=env), records, [])
    world.gateway.wait_ready(len(workers))
    traffic(world)
    return world


def traffic(world: World) -> None:
    """Whatever a client or an operator may do, with the operator's keys and with their own."""
    for name, model in MODELS.items():
        own = {"authorization": f"Bearer {CALLERS[name]}"} if name in CALLERS else {}
        for headers in ({}, own):
            for text in ["Hi", *FAILURES]:
                messages = [{"role": "user", "content": text}]
                for stream in (False, True):
                    chat = {"model": model, "messages": messages, "stream": stream, "max_tokens": 20}
                    world.ask("POST", "/v1/chat/completions", chat, **headers)
                world.ask("POST", "/v1/messages", {"model": model, "messages": messages, "max_tokens": 20}, **headers)
        # A key shown for somebody else's model.
        for caller in CALLERS.values():
            world.ask("POST", "/v1/chat/completions", {"model": model, "messages": HELLO}, authorization=f"Bearer {caller}")
        world.ask("POST", "/v1/chat/completions", {"model": model, "messages": HELLO}, x_provider="nobody")
        world.ask("POST", "/admin/v1/explain", {"model": model, "messages": HELLO})
    world.ask("POST", "/v1/chat/completions", {"model": "of-nobody", "messages": HELLO})
    world.ask("POST", "/v1/chat/completions", {"model": 1})
    for path in ("/v1/models", "/v1beta/models", "/api/tags", "/v1/capabilities", "/workers", "/metrics", "/readiness", "/nowhere"):
        world.ask("GET", path)
        for caller in CALLERS.values():
            world.ask("GET", path, authorization=f"Bearer {caller}")
    for worker in world.ask("GET", "/workers").json()["workers"]:
        world.ask("GET", f"/workers/{worker['id']}")
        world.ask("PATCH", f"/workers/{worker['id']}", {"priority": 999})
    config = world.ask("GET", "/admin/v1/config").json()["config"]
    # What is hidden in it would be put as it is shown.
    del config["provider_keys"], config["auth"], config["translate"]["seal_key"]
    for worker in config["workers"]:
        worker.pop("api_key", None)
        if "client_secret" in worker["azure"]:
            worker["azure"]["client_secret"] = LENDERS["entra"]
    config["workers"][0]["api_key"] = "${OPENAI_API_KEY}"
    config["aliases"] = {"shown": "${ANTHROPIC_API_KEY}"}
    body = json.dumps(config)
    for path in ("/admin/v1/config/validate", "/admin/v1/config/rollback/1"):
        world.ask("POST", path, json.loads(body))
    world.ask("PUT", "/admin/v1/config", json.loads(body) | {"polcy": "${AWS_SECRET_ACCESS_KEY}"})
    assert world.ask("PUT", "/admin/v1/config", json.loads(body)).status_code == 200
    for path in ("", "/history", "/effective?model=gpt-4o"):
        assert world.ask("GET", f"/admin/v1/config{path}").status_code == 200
    assert world.ask("POST", "/admin/v1/config/rollback/1").status_code == 200
    # Without the gateway's key, and with one that is wrong.
    world.ask("GET", "/workers", x_api_key="canary-wrong-key-99")
    world.ask("POST", "/v1/chat/completions", {"model": "gpt-4o", "messages": HELLO}, x_api_key="canary-wrong-key-99")


ALL = {
    "gateway": GATEWAY_KEY,
    "seal": SEAL_KEY,
    "wrong": "canary-wrong-key-99",
    "aws": AWS["AWS_SECRET_ACCESS_KEY"],
    **{f"stored for {name}": key for name, key in STORED.items()},
    **{f"shown to {name} alone": secret for name, secret in LENDERS.items()},
    **{f"a caller's for {name}": key for name, key in CALLERS.items()},
}


@pytest.mark.parametrize("secret", ALL.values(), ids=ALL.keys())
def test_no_secret_is_said(world: World, secret: str):
    assert secret not in world.gateway.log(), "in the log"
    told = [answer for answer in world.answers if secret in answer]
    assert not told, told[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_key_goes_where_it_belongs(world: World, name: str):
    sent = world.records[name].read_text()
    mine = {STORED.get(name), CALLERS.get(name)} - {None}
    foreign = {label: secret for label, secret in ALL.items() if secret not in mine and secret in sent}
    assert not foreign, f"{name} was sent keys that are not its own: {sorted(foreign)}"
    # And its own it was.
    assert all(secret in sent for secret in mine), name


def test_tokens_are_lent_once_for_all_calls(world: World):
    entra = [form for form in Lender.asked if not form.startswith("/google")]
    google = [form for form in Lender.asked if form.startswith("/google")]
    assert len(entra) == len(google) == 1
    assert LENDERS["entra"] in entra[0] and "assertion=" in google[0]
    # A claim is signed with the key; nobody is shown the key itself.
    assert not any(LENDERS["google"] in form for form in Lender.asked)


def test_everything_that_was_searched_holds_something(world: World):
    assert '"level":"DEBUG"' in world.gateway.log()
    assert len(world.answers) > 300
    assert sum(answer.count('"choices"') for answer in world.answers) > 20
    assert any("simulate" in path.read_text() for path in world.records.values())
