"""What every provider receives of calls that are no conversation has the shape that its own SDK's types describe. Which
providers have what is asked of the gateway itself, so that a new one is checked, or fails here."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from openai.types import CreateEmbeddingResponse, ImagesResponse
from openai.types.audio import Transcription
from processes import Gateway, Processes
from surface_shapes import CHECKS
from vendors import PNG, Received, Vendors

PAINTERS = ["gemini-2.5-flash-image", "gemini-3-pro-image-preview", "imagen-4.0-generate-001"]
# Models whose names say what they are, where that decides the form of a request.
MODELS = {
    ("gemini", "/v1/embeddings"): ["gemini-embedding-001"],
    ("gemini", "/v1/images/generations"): PAINTERS,
    ("vertex-ai", "/v1/embeddings"): ["text-embedding-005", "gemini-embedding-001"],
    ("vertex-ai", "/v1/images/generations"): PAINTERS,
    **{
        (provider, path): ["gemini-2.5-flash-image"]
        for provider in ("gemini", "vertex-ai")
        for path in ("/v1/images/edits", "/v1/images/variations")
    },
    **{
        (provider, path): ["gemini-2.5-flash", "gemini-3-pro-preview"]
        for provider in ("gemini", "vertex-ai")
        for path in ("/v1/audio/transcriptions", "/v1/audio/translations")
    },
    ("vertex-ai", "/v1/rerank"): ["semantic-ranker-default@latest"],
    ("bedrock", "/v1/rerank"): ["cohere.rerank-v3-5:0", "amazon.rerank-v1:0"],
    ("bedrock", "/v1/images/edits"): ["amazon.nova-canvas-v1:0", "amazon.titan-image-generator-v2:0", "stability.sd3-5-large-v1:0"],
    ("bedrock", "/v1/images/variations"): ["amazon.nova-canvas-v1:0", "amazon.titan-image-generator-v2:0"],
    ("replicate", "/v1/images/edits"): ["black-forest-labs/flux-kontext-pro", "google/nano-banana"],
    ("fireworks", "/v1/images/generations"): ["accounts/fireworks/models/flux-1-schnell-fp8"],
    ("gemini", "/v1/audio/speech"): ["gemini-2.5-flash-preview-tts"],
    ("vertex-ai", "/v1/audio/speech"): ["gemini-2.5-flash-preview-tts"],
    ("bedrock", "/v1/images/generations"): ["amazon.nova-canvas-v1:0", "amazon.titan-image-generator-v2:0", "stability.sd3-5-large-v1:0"],
    ("bedrock", "/v1/embeddings"): ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3", "cohere.embed-v4:0"],
}
USUAL = ["some-owner/some-model"]
# What belongs to an account besides its key.
ACCOUNTS = {
    "bedrock": "aws: {region: us-east-1}",
    "vertex-ai": "project: acme, location: us-central1",
    "vertex-anthropic": "project: acme, location: us-central1",
}
# Deployments have names of one segment.
NAMES = {"azure-openai": ["some-deployment"]}

TEXTS = ["the hills", "the sea"]
FORM = {"file": ("a.wav", base64.b64decode(PNG), "audio/wav")}
PICTURE = {"image": ("a.png", base64.b64decode(PNG), "image/png")}


@dataclass
class Ask:
    """One request of a client; fields that vendors of the dialect may ignore are left as the client wrote them."""

    path: str
    body: dict
    files: dict = field(default_factory=dict)


def gemini_request(text: str) -> dict:
    return {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256}


ASKS = {
    "/v1/embeddings": [
        Ask("/v1/embeddings", {"input": TEXTS}),
        Ask("/v1/embeddings", {"input": "the hills", "dimensions": 256, "encoding_format": "base64", "user": "ada"}),
        Ask("/v1/embeddings", {"input": [str(n) for n in range(12)], "encoding_format": "float"}),
        Ask("/v2/embed", {"texts": TEXTS, "input_type": "search_query", "embedding_types": ["float"], "output_dimension": 256, "truncate": "END"}),
        Ask("/api/embed", {"input": TEXTS, "truncate": True, "dimensions": 256}),
        Ask("/v1beta/models/{model}:batchEmbedContents", {"requests": [gemini_request(text) for text in TEXTS]}),
    ],
    "/v1/rerank": [
        Ask("/v1/rerank", {"query": "sea", "documents": TEXTS, "top_n": 1, "return_documents": True}),
        Ask("/v2/rerank", {"query": "sea", "documents": TEXTS, "top_n": 1, "max_tokens_per_doc": 100}),
        Ask("/rerank", {"query": "sea", "texts": TEXTS, "return_text": True}),
    ],
    "/v1/images/generations": [
        Ask("/v1/images/generations", {"prompt": "a hill"}),
        Ask("/v1/images/generations", {"prompt": "a hill", "n": 2, "size": "1536x1024", "response_format": "b64_json"}),
        Ask("/v1/images/generations", {"prompt": "a hill", "size": "2048x2048", "quality": "high", "output_format": "jpeg", "user": "ada"}),
    ],
    "/v1/images/edits": [
        Ask("/v1/images/edits", {"prompt": "bluer"}, PICTURE),
        Ask("/v1/images/edits", {"prompt": "bluer", "n": "2", "size": "1024x1024", "response_format": "b64_json"}, PICTURE),
    ],
    "/v1/images/variations": [Ask("/v1/images/variations", {"n": "2"}, PICTURE)],
    "/v1/audio/speech": [Ask("/v1/audio/speech", {"input": "hello", "voice": "alloy", "response_format": "wav"})],
    "/v1/audio/transcriptions": [Ask("/v1/audio/transcriptions", {"language": "en", "temperature": "0.5"}, FORM)],
    "/v1/audio/translations": [Ask("/v1/audio/translations", {"temperature": "0.5"}, FORM)],
    "/v1/moderations": [Ask("/v1/moderations", {"input": TEXTS})],
}


# What OpenAI's SDK makes of the answers, whoever gave them.
ANSWERS = {
    "/v1/embeddings": CreateEmbeddingResponse,
    "/v1/images/generations": ImagesResponse,
    "/v1/images/edits": ImagesResponse,
    "/v1/images/variations": ImagesResponse,
    "/v1/audio/transcriptions": Transcription,
}


class Accounts:
    """A gateway with an account of every provider, and what those receive."""

    def __init__(self, processes: Processes):
        self.vendors = Vendors()
        # The same gateway says what it knows, and is then given an account of each.
        known: dict[str, dict[str, str]] = processes.gateway("--enable-igw").get("/v1/capabilities").json()["accounts"]
        self.served = {provider: [path for path in served if path in ASKS] for provider, served in known.items()}
        workers = "\n".join(self.worker(provider) for provider in known)
        config = processes.file("accounts.yaml", f"{processes.config.read_text()}retry: {{attempts: 1}}\nworkers:\n{workers}\n")
        self.gateway: Gateway = processes.gateway(config=config)
        self.gateway.wait_ready(len(known))

    def worker(self, provider: str) -> str:
        names = {name for path in self.served[provider] for name in models(provider, path)}
        models_of = ", ".join(f"'{name}'" for name in sorted(names or USUAL))
        more = "".join(f", {text}" for text in [ACCOUNTS.get(provider)] if text)
        return f"  - {{url: '{self.vendors.url}/{provider}', provider: {provider}, api_key: k, models: [{models_of}]{more}}}"

    def ask(self, provider: str, model: str, ask: Ask) -> list[Received]:
        self.vendors.news()
        path, headers = ask.path.format(model=model), {"x-provider": provider}
        body = ask.body if "{model}" in ask.path else {"model": model, **ask.body}
        if ask.files:
            answer = self.gateway.post(path, None, data=body, files=ask.files, headers=headers)
        else:
            answer = self.gateway.post(path, body, headers=headers)
        assert answer.status_code == 200, answer.text
        # The SDK unpacks base64 before it makes anything of it.
        if (kind := ANSWERS.get(ask.path)) and ask.body.get("encoding_format") != "base64":
            kind.model_validate(answer.json())
        received = self.vendors.news()
        assert received and {one.provider for one in received} == {provider}
        return received


def models(provider: str, path: str) -> list[str]:
    return MODELS.get((provider, path)) or NAMES.get(provider) or USUAL


def plain(body: dict) -> dict:
    """A form as the SDKs' types describe it: its files aside, and its numbers as numbers."""
    fields = {name: value for name, value in body.items() if name not in FILES or not isinstance(value, bytes)}
    numbers = {name: number(value) for name, number in NUMBERS.items() if isinstance(value := fields.get(name), bytes)}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in fields.items()} | numbers


FILES = ("file", "image")
NUMBERS = {"temperature": float, "n": int}


@pytest.fixture(scope="module")
def accounts(processes: Processes) -> Iterator[Accounts]:
    accounts = Accounts(processes)
    yield accounts
    accounts.vendors.stop()


@pytest.mark.parametrize("path", ASKS)
def test_every_provider_is_asked_in_its_own_words(accounts: Accounts, path: str):
    having = [provider for provider, served in accounts.served.items() if path in served]
    assert having
    unchecked = [provider for provider in having if provider not in CHECKS[path]]
    assert not unchecked, "nothing says what these take"
    found = []
    for provider in having:
        for model in models(provider, path):
            for ask in ASKS[path]:
                for one in accounts.ask(provider, model, ask):
                    found += [f"{provider} {model} {ask.path}: {problem}" for problem in CHECKS[path][provider](plain(one.body))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "provider", "body"),
    [
        ("/v1/embeddings", "mistral", {"model": "m", "input": "a", "dimensions": 2}),
        ("/v1/embeddings", "cohere", {"model": "m", "texts": ["a"]}),
        ("/v1/embeddings", "cohere", {"model": "m", "texts": ["a"], "input_type": "search_query", "user": "u"}),
        ("/v1/embeddings", "gemini", {"requests": [{"model": "m", "content": {"parts": [{"txt": "a"}]}}]}),
        ("/v1/embeddings", "bedrock", {"inputText": "a", "dimensions": 8}),
        ("/v1/embeddings", "hugging-face", {"inputs": ["a"], "dimensions": 8}),
        ("/v1/rerank", "together", {"model": "m", "query": "q", "documents": ["a"], "top_k": 1}),
        ("/v1/embeddings", "vertex-ai", {"instances": [{"content": "a"}], "parameters": {"dimensions": 8}}),
        ("/v1/images/generations", "together", {"model": "m", "prompt": "a", "size": "1024x1024"}),
        ("/v1/images/generations", "gemini", {"contents": [], "generationConfig": {"imageConfig": {"size": "1K"}}}),
        ("/v1/images/generations", "gemini", {"instances": [{"prompt": "a"}], "parameters": {"n": 1}}),
        ("/v1/images/generations", "bedrock", {"taskType": "TEXT_IMAGE", "prompt": "a"}),
        ("/v1/images/generations", "hugging-face", {"inputs": "a", "parameters": {"size": "1x1"}}),
        ("/v1/images/edits", "xai", {"model": "m", "prompt": "a", "image": {"url": 1, "type": "image_url"}}),
        ("/v1/images/edits", "bedrock", {"taskType": "IMAGE_VARIATION", "imageVariationParams": {"text": "a"}}),
        ("/v1/rerank", "bedrock", {"query": "q", "documents": ["a"], "model": "m"}),
        ("/v1/rerank", "vertex-ai", {"query": "q", "records": [{"text": "a"}]}),
        ("/v1/audio/transcriptions", "gemini", {"contents": [{"parts": [{"inlineData": {"mime": "audio/wav"}}]}]}),
    ],
)
def test_the_check_itself_refuses(path: str, provider: str, body: dict):
    assert CHECKS[path][provider](body)
