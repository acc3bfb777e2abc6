"""The official SDKs, pointed at a gateway."""

import anthropic
import boto3
import botocore.config
import ollama
import openai
from google import genai
from processes import Gateway

# Asked once: what is retried is the gateway's to show.
SETTINGS = {"api_key": "sk-test", "max_retries": 0, "timeout": 30}


def openai_client(gateway: Gateway, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", **(SETTINGS | more))


def anthropic_client(gateway: Gateway, **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, **(SETTINGS | more))


def gemini_client(gateway: Gateway, api_key: str, **options) -> genai.Client:
    return genai.Client(api_key=api_key, http_options={"base_url": gateway.url, **options})


def ollama_client(gateway: Gateway, api_key: str, **more) -> ollama.Client:
    return ollama.Client(gateway.url, headers={"authorization": f"Bearer {api_key}"}, timeout=30, **more)


def bedrock_client(gateway: Gateway, api_key: str):
    """Signs as boto3 must over plain HTTP; the gateway's key stands in a header of its own."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=gateway.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="any",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=30),
    )

    def show_key(request, **_):
        request.headers["x-api-key"] = api_key

    client.meta.events.register("before-sign.bedrock-runtime", show_key)
    return client
