"""Every provider's small surfaces in one server on loopback: it answers whatever it is asked in the form that was asked
for, and keeps what it received. Whose account a request is for stands in the first segment of its path."""

import base64
import json
import re
import threading
from dataclasses import dataclass
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
VECTOR = [0.6, -0.8]

# Where an answer is a picture's file.
PICTURED = re.compile(r"/text_to_image$|hf-inference/models/[^/]+/[^/]+$")


@dataclass
class Received:
    provider: str
    path: str
    # The fields of a form, with the bytes of files, or what the JSON says.
    body: dict


class Vendors:
    """The server, and what it received since it was last asked."""

    def __init__(self):
        self.received: list[Received] = []
        vendors = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer(404, {})

            def do_POST(self):
                raw = self.body()
                provider, path = self.path.removeprefix("/").split("/", 1)
                body = form(self.headers["content-type"], raw) if "multipart" in self.headers["content-type"] else json.loads(raw)
                vendors.received.append(Received(provider, "/" + path, body))
                if PICTURED.search(path):
                    self.respond(200, "image/png", base64.b64decode(PNG))
                else:
                    self.answer(200, reply("/" + path, body))

            def body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers["content-length"]))
                pieces = []
                while size := int(self.rfile.readline(), 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)

            def answer(self, status: int, body: object):
                self.respond(status, "application/json", json.dumps(body).encode())

            def respond(self, status: int, kind: str, encoded: bytes):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, format: str, *args: object):
                """Says nothing: what was received is kept."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def news(self) -> list[Received]:
        news, self.received = self.received, []
        return news

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def form(content_type: str, raw: bytes) -> dict:
    parts = BytesParser().parsebytes(f"content-type: {content_type}\r\n\r\n".encode() + raw).get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


def reply(path: str, body: dict) -> object:
    """An answer in the form of whoever has this path and takes this body."""
    path = path.split("?")[0]
    if found := SPECIAL.get(re.sub(r".*/(models|model)/.*(:[A-Za-z]+|/invoke)$", r"\2", path)):
        return found(body)
    for ending, answer in USUAL.items():
        if path.endswith(ending):
            return answer(body)
    raise ValueError(f"nobody has {path}")


def texts(body: dict, key: str) -> list:
    return body[key] if isinstance(body[key], list) else [body[key]]


def invoked(body: dict) -> object:
    """A model on Bedrock, told by what it is asked."""
    if "inputText" in body:
        return {"embedding": VECTOR, "inputTextTokenCount": 2}
    if "query" in body:
        return {"results": [{"index": 0, "relevance_score": 0.5}]}
    if "texts" in body:
        return {"embeddings": {"float": [VECTOR for _ in body["texts"]]}}
    if body.keys() & {"textToImageParams", "imageVariationParams", "prompt"}:
        return {"images": [PNG]}
    raise ValueError(f"no model takes {body}")


def predicted(body: dict) -> object:
    """A model on Vertex AI, or Imagen."""
    if "prompt" in body["instances"][0]:
        return {"predictions": [{"bytesBase64Encoded": PNG, "mimeType": "image/png"}]}
    return {"predictions": [{"embeddings": {"values": VECTOR, "statistics": {"token_count": 2}}} for _ in body["instances"]]}


def drawn(body: dict) -> object:
    """A model of Gemini's, which draws unless it has something to listen to."""
    listens = any(part.get("inlineData", {}).get("mimeType", "").startswith("audio/") for part in body["contents"][0]["parts"])
    part = {"text": "hello"} if listens else {"inlineData": {"mimeType": "image/png", "data": PNG}}
    return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}


SPECIAL = {
    ":predict": predicted,
    ":generateContent": drawn,
    ":batchEmbedContents": lambda body: {"embeddings": [{"values": VECTOR} for _ in body["requests"]]},
    "/invoke": invoked,
}

USUAL = {
    "/embeddings": lambda body: {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": VECTOR} for at, _ in enumerate(texts(body, "input"))],
        "model": body.get("model", "m"),
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    },
    "/v2/embed": lambda body: {"id": "e", "embeddings": {"float": [VECTOR for _ in body["texts"]]}, "meta": {"billed_units": {"input_tokens": 2}}},
    "/feature-extraction": lambda body: [VECTOR for _ in body["inputs"]],
    "/rerank": lambda body: {"id": "r", "results": [{"index": 0, "relevance_score": 0.5}], "meta": {}},
    ":rank": lambda body: {"records": [{"id": "0", "score": 0.5}]},
    "/images/edits": lambda body: {"created": 1, "data": [{"b64_json": PNG}]},
    "/images/variations": lambda body: {"created": 1, "data": [{"b64_json": PNG}]},
    "/images/generations": lambda body: {"created": 1, "data": [{"b64_json": PNG}]},
    "/predictions": lambda body: {"id": "p1", "status": "succeeded", "output": [f"data:image/png;base64,{PNG}"]},
    "/audio/speech": lambda body: {"audio_data": PNG},
    "/audio/transcriptions": lambda body: {"text": "hello"},
    "/audio/translations": lambda body: {"text": "hello"},
    "/moderations": lambda body: {"id": "m", "model": "m", "results": []},
}
