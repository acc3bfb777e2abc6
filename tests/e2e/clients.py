"""The official SDKs, pointed at a gateway."""

import anthropic
import openai
from processes import Gateway

# Asked once: what is retried is the gateway's to show.
SETTINGS = {"api_key": "sk-test", "max_retries": 0, "timeout": 30}


def openai_client(gateway: Gateway, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", **(SETTINGS | more))


def anthropic_client(gateway: Gateway, **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, **(SETTINGS | more))
