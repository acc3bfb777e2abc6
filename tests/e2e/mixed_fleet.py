"""A gateway with its own key in front of one of each kind: an engine, OpenAI's cloud, Anthropic's cloud.

Whatever a test asks of one model it can ask of all three: two of them are then reached by translation.
"""

from processes import Gateway, Processes

GATEWAY_KEY = "gateway-key"
OPENAI_KEY = "sk-openai-account"
ANTHROPIC_KEY = "sk-ant-account"

ENGINE = "demo-model"
GPT = "gpt-4o-mini"
CLAUDE = "claude-sonnet-4-5"
EMBEDDING = "text-embedding-3-small"
CHAT_MODELS = [ENGINE, GPT, CLAUDE]


def start(processes: Processes) -> Gateway:
    engine = processes.engine(flavour="vllm", models=ENGINE, time_scale=0)
    openai = processes.cloud("openai", api_key=OPENAI_KEY)
    anthropic = processes.cloud("anthropic", api_key=ANTHROPIC_KEY)
    config = processes.file(
        "fleet.yaml",
        f"""{processes.config.read_text()}
auth: {{api_key: {GATEWAY_KEY}}}
workers:
  - {{url: '{engine.url}'}}
  - {{url: '{openai.url}/v1', provider: openai, api_key: {OPENAI_KEY}}}
  - {{url: '{anthropic.url}', provider: anthropic, api_key: {ANTHROPIC_KEY}}}
""",
    )
    gateway = processes.gateway(config=config)
    gateway.wait_ready(3)
    return gateway
