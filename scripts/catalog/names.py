"""Spellings: providers of the sources to ours, and what a model's name says of its family and tokenizer."""

import re

# To the ids of `dialect::provider`; the others keep their own, with hyphens.
PROVIDERS = {
    "amazon-bedrock": "bedrock",
    "aws": "bedrock",
    "azure": "azure-openai",
    "azure_ai": "azure-foundry",
    "azure_text": "azure-openai",
    "bedrock_converse": "bedrock",
    "cohere_chat": "cohere",
    "dashscope": "qwen",
    "featherless_ai": "featherless",
    "fireworks-ai": "fireworks",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "google": "gemini",
    "huggingface": "hugging-face",
    "lambda_ai": "lambda",
    "llama": "meta-llama",
    "meta": "meta-llama",
    "moonshotai": "moonshot",
    "novita-ai": "novita",
    "nvidia": "nvidia-nim",
    "text-completion-codestral": "codestral",
    "text-completion-inception": "inception",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "togetherai": "together",
    "vercel_ai_gateway": "vercel",
    "voyageai": "voyage",
    "x-ai": "xai",
}


def provider(name: str) -> str:
    if name.startswith("vertex_ai"):
        return "vertex-ai"
    return PROVIDERS.get(name, name.lower().replace("_", "-"))


def family(upstream: str) -> str:
    """The name without its owner, its region, its version and its date."""
    name = upstream.lower().rsplit("/", 1)[-1]
    name = re.sub(r"^(?:[a-z-]+\.)?(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|zai)\.", "", name)
    name = re.sub(r"(?:(?<=\d)-v\d+)?:\d+k?(?::\d+k)?$", "", name)
    name = re.sub(r"[@-](?:latest|default)$", "", name)
    return re.sub(r"[@-](?:20\d{6}|20\d\d-\d\d-\d\d)$", "", name)


# The first that matches the family; what no row names has no tokenizer we know.
TOKENIZERS = [
    (r"gpt-oss", "o200k_harmony"),
    (r"(?:ft:)?(?:gpt-4o|gpt-4\.[1-9]|chatgpt-|gpt-[5-9]|gpt-audio|gpt-realtime|o[1-9](?:-|$)|codex-mini)", "o200k"),
    (r"(?:ft:)?(?:gpt-4|gpt-3\.5|text-embedding-(?:3|ada)|davinci-002|babbage-002)", "cl100k"),
    (r"claude-", "claude"),
    (r"(?:gemini-|gemma-)", "gemma"),
    (r"(?:meta-)?llama-?(?:v?3|3)", "llama3"),
    (r"(?:meta-)?llama-?v?4", "llama4"),
    (r"(?:qwen|qwq-)", "qwen"),
    (r"deepseek-", "deepseek"),
    (r"(?:mistral|ministral|magistral|devstral|codestral|pixtral|mixtral|voxtral|open-mi)", "mistral"),
    (r"command-", "command"),
    (r"grok-", "grok"),
    (r"kimi-", "kimi"),
    (r"glm-", "glm"),
    (r"nova-", "nova"),
    (r"jamba-", "jamba"),
]


def tokenizer(name: str) -> str:
    return next((kind for pattern, kind in TOKENIZERS if re.match(pattern, name)), "")
