"""Two variants compared on live traffic, and a third backend that only gets copies."""

import json

import pytest
from processes import Gateway, Processes, Upstream, wait_for

MODEL = "gpt-4o"
USERS = 30


def backend(name: str, upstream: Upstream, **more: object) -> dict:
    return {
        "name": name,
        "provider": "openai",
        "url": upstream.url,
        "api_key": f"sk-{name}",
        "models": [MODEL],
        "default_model": MODEL,
    } | more


@pytest.fixture
def gateway(processes: Processes) -> Gateway:
    names = ("control", "candidate", "shadow")
    clouds = {name: processes.cloud("openai", api_key=f"sk-{name}", models=MODEL) for name in names}
    settings = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "metrics": {"port": 0},
        "log": {"json": True},
        "workers": [
            backend("control", clouds["control"]),
            backend("candidate", clouds["candidate"]),
            backend("shadow", clouds["shadow"], weight=0),
        ],
        "pools": [
            {
                "name": "trial",
                "strategy": "ab",
                "sticky": "user",
                "mirror": {"backend": "shadow", "percent": 100},
                "backends": [{"name": "control", "weight": 2}, {"name": "candidate", "label": "new"}],
            }
        ],
        "routes": [{"name": "all", "backend": "trial"}],
    }
    gateway = processes.gateway(config=processes.file("trial.yaml", json.dumps(settings)))
    gateway.wait_ready(3)
    return gateway


def asked_by(user: str, stream: bool) -> dict:
    return {"model": MODEL, "user": user, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}


def variant(gateway: Gateway, user: str, stream: bool = False) -> str:
    answer = gateway.post("/v1/chat/completions", asked_by(user, stream))
    assert answer.status_code == 200, answer.text
    assert "shadow" not in str(answer.headers) + answer.text
    named = {"control": "control", "new": "candidate"}[answer.headers["x-trunkline-variant"]]
    assert answer.headers["x-trunkline-backend"] == named
    return answer.headers["x-trunkline-variant"]


def test_every_user_stays_with_a_variant_and_the_mirror_sees_everything(gateway: Gateway):
    users = [f"user-{number}" for number in range(USERS)]
    first = {user: variant(gateway, user) for user in users}
    assert set(first.values()) == {"control", "new"}
    assert {user: variant(gateway, user, stream=True) for user in users} == first

    def copies() -> float:
        return gateway.metric("trunkline_attempts_total", worker="shadow", outcome="200")

    wait_for("all copies are answered", lambda: copies() == 2 * USERS)
    sent = gateway.metric("trunkline_mirrored_requests_total", backend="shadow", outcome="sent")
    assert sent == 2 * USERS
    for name, label in (("control", "control"), ("candidate", "new")):
        mine = 2 * sum(variant == label for variant in first.values())
        assert gateway.metric("trunkline_variant_requests_total", variant=label, outcome="ok") == mine
        assert gateway.metric("trunkline_attempts_total", worker=name, outcome="200") == mine
