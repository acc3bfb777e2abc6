"""Requests to Bedrock as the gateway signs them: botocore's own signer, given what arrived, finds the same signature."""

import json
import re
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from processes import Gateway, Processes

# The one key whose secret the simulated account knows.
KEY, SECRET, TOKEN, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjEXAMPLE", "eu-west-1"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})")


class Signing:
    """A gateway that found its AWS keys in the environment, and what its account received."""

    def __init__(self, processes: Processes, token: str | None):
        self.token = token
        self.record: Path = processes.directory / f"signed-{token}.jsonl"
        account = processes.cloud("bedrock", api_key=SECRET, models=f"{CLAUDE},{PROFILE},{TITAN}", record=self.record)
        config = processes.file(
            f"signing-{token}.yaml",
            f"{processes.config.read_text()}\nworkers: [{{url: '{account.url}', provider: bedrock}}]\n",
        )
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION}
        env = keys | ({"AWS_SESSION_TOKEN": token} if token else {})
        self.gateway: Gateway = processes.gateway(config=config, env=env)
        self.gateway.wait_ready(1)

    def last(self) -> dict:
        return json.loads(self.record.read_text().splitlines()[-1])


@pytest.fixture(scope="module", params=[None, TOKEN], ids=["key", "session"])
def signing(processes: Processes, request: pytest.FixtureRequest) -> Signing:
    return Signing(processes, request.param)


def recomputed(sent: dict, names: list[str], token: str | None) -> str:
    """The signature botocore makes of a request with the headers that are said to be signed, at the time it says."""
    headers = {name: value for name, value in sent["headers"] if name in names}
    request = AWSRequest(
        method=sent["method"],
        url=f"http://{headers['host']}{sent['target']}",
        data=sent["text"].encode(),
        headers=headers,
    )
    request.context["timestamp"] = headers["x-amz-date"]
    # As botocore's clients are for this service: paths are encoded twice.
    signer = SigV4Auth(Credentials(KEY, SECRET, token), "bedrock", REGION)
    return signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": CLAUDE, "messages": [{"role": "user", "content": "Grüße, 世界"}]}),
        ("/v1/chat/completions", {"model": CLAUDE, "messages": [{"role": "user", "content": "hi"}], "stream": True}),
        ("/v1/chat/completions", {"model": PROFILE, "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/messages", {"model": CLAUDE, "max_tokens": 50, "messages": [{"role": "user", "content": "x" * 50_000}]}),
        (f"/model/{CLAUDE}/converse", {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
        ("/v1/embeddings", {"model": TITAN, "input": "hi"}),
    ],
    ids=["chat", "stream", "profile", "long", "converse", "embeddings"],
)
def test_botocore_makes_the_same_signature(signing: Signing, path: str, body: dict):
    answer = signing.gateway.post(path, body)
    # The account checks it by itself.
    assert answer.status_code == 200, answer.text
    sent = signing.last()
    headers = dict(sent["headers"])
    match = AUTHORIZATION.fullmatch(headers["authorization"])
    assert match, headers["authorization"]
    credential, names, signature = match.group(1), match.group(2).split(";"), match.group(3)
    assert credential == f"{KEY}/{headers['x-amz-date'][:8]}/{REGION}/bedrock/aws4_request"
    assert {"content-type", "host", "x-amz-date"} <= set(names)
    assert headers.get("x-amz-security-token") == signing.token
    assert ("x-amz-security-token" in names) == bool(signing.token)
    assert signature == recomputed(sent, names, signing.token)
    assert SECRET not in json.dumps(sent)


def test_keys_are_never_shown(signing: Signing):
    shown = signing.gateway.get("/workers").text + signing.gateway.get("/metrics").text + signing.gateway.log()
    assert not [secret for secret in (KEY, SECRET, TOKEN) if secret in shown]


def test_a_refused_signature_is_told_to_the_operator(processes: Processes):
    account = processes.cloud("bedrock", api_key=SECRET, models=CLAUDE)
    config = processes.file(
        "refused.yaml",
        f"""{processes.config.read_text()}
workers:
  - url: '{account.url}'
    provider: bedrock
    aws: {{access_key_id: {KEY}, secret_access_key: not-{SECRET}, session_token: {TOKEN}, region: {REGION}}}
""",
    )
    gateway = processes.gateway(config=config)
    gateway.wait_ready(1)
    answer = gateway.post("/v1/messages", {"model": CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]})
    assert answer.status_code == 502
    assert "signature" in answer.json()["error"]["message"]
    line = json.loads(gateway.line(lambda line: "refuses the signature" in line))
    assert line["reason"] == "InvalidSignatureException"
    assert not [secret for secret in (KEY, SECRET, TOKEN) if secret in answer.text + gateway.log()]


def test_keys_and_region_are_enough_to_start(processes: Processes):
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION}
    gateway = processes.gateway(env=keys)
    urls = [worker["url"] for worker in gateway.workers()]
    assert urls == [f"https://bedrock-runtime.{REGION}.amazonaws.com"]
