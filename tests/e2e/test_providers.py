"""Providers that become usable because their variables are set: no file, no flag."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import Gateway, Processes, Upstream

HELLO = [{"role": "user", "content": "Hi"}]


@dataclass(frozen=True)
class Row:
    """A provider as somebody sets it up."""

    id: str
    # The variables of its key and its address, and what follows the simulated server's own address in the latter.
    key: str
    url: str
    behind: str = ""
    # What it speaks, as the simulated clouds are called, and a model that nobody else's name fits.
    speaks: str = "openai"
    model: str = "some-model"
    more: tuple[tuple[str, str], ...] = ()


ROWS = [
    Row("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "/v1", model="gpt-4o"),
    Row("anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "/v1", "anthropic", "claude-3-5-sonnet-20241022"),
    Row("gemini", "GOOGLE_AI_API_KEY", "GEMINI_BASE_URL", "/v1beta", "gemini", "gemini-2.5-flash"),
    Row("mistral", "MISTRAL_API_KEY", "MISTRAL_BASE_URL", model="mistral-large-latest"),
    Row("codestral", "CODESTRAL_API_KEY", "CODESTRAL_API_BASE", "/v1"),
    Row("groq", "GROQ_API_KEY", "GROQ_API_BASE", "/v1/"),
    Row("cohere", "CO_API_KEY", "COHERE_BASE_URL", "/v2", "cohere", "command-a-03-2025"),
    Row("deepseek", "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", model="deepseek-chat"),
    Row("together", "TOGETHERAI_API_KEY", "TOGETHER_BASE_URL", "/v1"),
    Row("perplexity", "PERPLEXITYAI_API_KEY", "PERPLEXITY_BASE_URL", "/v1", model="sonar"),
    Row("fireworks", "FIREWORKS_AI_API_KEY", "FIREWORKS_BASE_URL", "/v1"),
    Row("ai21", "AI21_API_KEY", "AI21_BASE_URL", "/v1", model="jamba-large"),
    Row("xai", "XAI_API_KEY", "XAI_BASE_URL", "/v1/chat/completions", model="grok-4"),
    Row(
        "bedrock",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        speaks="bedrock",
        model="amazon.nova-pro-v1:0",
        more=(("AWS_REGION", "eu-west-1"),),
    ),
    Row("replicate", "REPLICATE_API_TOKEN", "REPLICATE_BASE_URL", "/v1", "replicate", "meta/meta-llama-3-8b-instruct"),
    Row("hugging-face", "HUGGING_FACE_API_KEY", "HF_API_BASE", "/v1", model="Qwen/Qwen3-8B"),
    Row("meta-llama", "LLAMA_API_KEY", "LLAMA_ENDPOINT_URL", "/v1"),
    Row("openrouter", "OPENROUTER_API_KEY", "OPENROUTER_API_BASE", "/v1", model="vendor/some-model"),
    Row("databricks", "DATABRICKS_TOKEN", "DATABRICKS_BASE_URL", "/v1"),
    Row("nvidia-nim", "NVIDIA_NIM_API_KEY", "NVIDIA_NIM_API_BASE", "/v1"),
]
KEY = "sk-test"


@dataclass
class Accounts:
    gateway: Gateway
    clouds: dict[str, Upstream]
    records: dict[str, Path]

    def received(self, provider: str) -> list[dict]:
        record = self.records[provider]
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


@pytest.fixture(scope="module")
def accounts(processes: Processes) -> Accounts:
    clouds, records, env = {}, {}, {}
    for row in ROWS:
        records[row.id] = processes.directory / f"{row.id}.jsonl"
        clouds[row.id] = processes.cloud(row.speaks, api_key=KEY, models=row.model, record=records[row.id])
        env |= {row.key: KEY, row.url: clouds[row.id].url + row.behind, **dict(row.more)}
    engine = processes.engine(flavour="ollama", models="qwen3:8b")
    clouds["ollama"] = engine
    env["OLLAMA_HOST"] = engine.url.removeprefix("http://")
    gateway = processes.gateway(env=env)
    gateway.wait_ready(len(ROWS) + 1)
    return Accounts(gateway, clouds, records)


def chat(gateway: Gateway, model: str, **headers: str):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.post("/v1/chat/completions", {"model": model, "messages": HELLO}, headers=headers)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_key_and_an_address_make_a_provider(accounts: Accounts, row: Row):
    before = len(accounts.received(row.id))
    for answer in (
        chat(accounts.gateway, row.model, x_provider=row.id),
        chat(accounts.gateway, f"{row.id}/{row.model}"),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"]
    calls = [sent for sent in accounts.received(row.id)[before:] if sent["method"] == "POST"]
    assert len(calls) == 2, calls
    assert not any(name.lower() == "x-provider" for sent in calls for name, _ in sent["headers"])


# Replicate's models are of many owners and are not listed: only who names it is sent there.
FOUND = [row for row in ROWS if row.model != "some-model" and row.id != "replicate"]


@pytest.mark.parametrize("row", FOUND, ids=lambda row: row.id)
def test_a_models_name_finds_its_provider(accounts: Accounts, row: Row):
    answer = chat(accounts.gateway, row.model)
    assert answer.status_code == 200, answer.text
    assert [sent for sent in accounts.received(row.id) if sent["method"] == "POST"]


def test_ollama_needs_an_address_and_no_key(accounts: Accounts):
    for answer in (chat(accounts.gateway, "qwen3:8b"), chat(accounts.gateway, "qwen3:8b", x_provider="ollama")):
        assert answer.status_code == 200, answer.text


def test_the_header_of_the_guide(accounts: Accounts):
    """As in the guide that users come from: the strategy is bypassed for this request."""
    answer = chat(accounts.gateway, "claude-3-5-sonnet-20241022", x_provider="anthropic")
    assert answer.status_code == 200, answer.text
    answer = chat(accounts.gateway, "claude-3-5-sonnet-20241022", x_provider="nobody")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "unknown_provider"


def test_an_azure_account_is_a_key_an_address_and_a_deployment(processes: Processes):
    record = processes.directory / "azure.jsonl"
    cloud = processes.cloud("openai", api_key=KEY, models="my-deployment", record=record)
    env = {
        "AZURE_OPENAI_API_KEY": KEY,
        "AZURE_OPENAI_ENDPOINT": cloud.url,
        "AZURE_OPENAI_DEPLOYMENT": "my-deployment",
        "AZURE_OPENAI_API_VERSION": "2025-01-01-preview",
    }
    gateway = processes.gateway(env=env)
    gateway.wait_ready(1)
    assert [model["id"] for model in gateway.get("/v1/models").json()["data"]] == ["my-deployment"]
    # The simulated server is not Azure's, and has no such place; it is asked there all the same.
    chat(gateway, "my-deployment")
    sent = json.loads(record.read_text().splitlines()[-1])
    assert sent["target"] == "/openai/deployments/my-deployment/chat/completions?api-version=2025-01-01-preview"
    assert ["api-key", KEY] in sent["headers"]


def test_what_is_set_twice_or_meant_for_clients_is_told(processes: Processes):
    cloud = processes.cloud("openai", api_key=KEY, models="gpt-4o")
    config = processes.file("here.yaml", "listen: {host: 127.0.0.1, port: 0}\nmetrics: {port: 0}\nlog: {json: true}\n")
    env = {"TOGETHER_API_KEY": KEY, "TOGETHER_AI_TOKEN": "another", "TOGETHER_BASE_URL": cloud.url, "COHERE_API_KEY": " "}
    gateway = processes.gateway(config=config, env=env)
    gateway.wait_ready(1)
    assert "TOGETHER_API_KEY and TOGETHER_AI_TOKEN are both set, to different values; the former counts" in gateway.log()
    assert [worker["url"] for worker in gateway.workers()] == [cloud.url]
    assert "another" not in gateway.log()
