"""A gateway with its own key in front of one of each kind: an engine, and the clouds of OpenAI, Anthropic, Google and
Amazon.

Whatever a test asks of one model it can ask of all: most of them are then reached by translation.
"""

from collections.abc import Mapping
from pathlib import Path

from processes import Gateway, Processes

GATEWAY_KEY = "gateway-key"
OPENAI_KEY = "sk-openai-account"
ANTHROPIC_KEY = "sk-ant-account"
GEMINI_KEY = "AIza-account"
BEDROCK_KEY = "ABSK-account"

ENGINE = "demo-model"
GPT = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-5"
GEMINI = "gemini-3-pro-preview"
BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
EMBEDDING = "text-embedding-3-small"
CHAT_MODELS = [ENGINE, GPT, CLAUDE]


def start(processes: Processes, records: Mapping[str, Path] | None = None) -> Gateway:
    """`records` are files where the upstreams write down what they receive."""
    records = records or {}

    def cloud(provider: str, key: str):
        return processes.cloud(provider, api_key=key, **recording(provider))

    def recording(name: str) -> dict:
        return {"record": records[name]} if name in records else {}

    engine = processes.engine(flavour="vllm", models=ENGINE, time_scale=0, **recording("engine"))
    openai = cloud("openai", OPENAI_KEY)
    anthropic = cloud("anthropic", ANTHROPIC_KEY)
    gemini = cloud("gemini", GEMINI_KEY)
    bedrock = cloud("bedrock", BEDROCK_KEY)
    config = processes.file(
        "fleet.yaml",
        f"""{processes.config.read_text()}
auth: {{api_key: {GATEWAY_KEY}}}
retry: {{attempts: 1}}
workers:
  - {{url: '{engine.url}'}}
  - {{url: '{openai.url}/v1', provider: openai, api_key: {OPENAI_KEY}}}
  - {{url: '{anthropic.url}', provider: anthropic, api_key: {ANTHROPIC_KEY}}}
  - {{url: '{gemini.url}', provider: gemini, api_key: {GEMINI_KEY}}}
  - {{url: '{bedrock.url}', provider: bedrock, api_key: {BEDROCK_KEY}, models: ['{BEDROCK}']}}
""",
    )
    gateway = processes.gateway(config=config)
    gateway.wait_ready(5)
    return gateway
