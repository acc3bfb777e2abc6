"""One way to ask for each client dialect, through that dialect's official SDK.

A test says what it wants once; every speaker asks for it as users of its SDK would, and tells what the SDK's typed
objects hold. A conversation is a list in the SDK's own terms: `user`, then the `turn` of an answer, then `results`.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import anthropic
import botocore.exceptions
import clients
import ollama
import openai
import pydantic
from google.genai import errors as gemini_errors
from google.genai import types as gemini_types
from processes import Gateway

THINKING_TOKENS = 1024


@dataclass
class Tool:
    name: str
    schema: dict
    description: str = "Looks something up."


@dataclass
class Call:
    id: str | None
    name: str
    arguments: dict


@dataclass
class Answer:
    text: str
    finish: Literal["stop", "length", "tools"] | str
    # Tokens in and out.
    usage: tuple[int, int]
    # What goes into the history.
    turn: list
    thought: str = ""
    calls: list[Call] = field(default_factory=list)
    parsed: pydantic.BaseModel | None = None


@dataclass
class Wants:
    """What is asked for besides the conversation."""

    system: str | None = None
    tools: list[Tool] = field(default_factory=list)
    thinks: bool = False
    schema: type[pydantic.BaseModel] | None = None
    limit: int = 4096


class StreamFailed(Exception):
    """A stream said that it failed, where the SDK hands that over as an event."""


class Speaker:
    """`ask(model, conversation, stream=...)` and what goes into a conversation."""

    name: str
    # By the gateway's meaning: what the SDK raises, and whether it tells more by an attribute.
    raises: dict[int, type[Exception]]
    # What a stream that breaks off in the middle raises.
    breaks: tuple[type[Exception], ...]

    def __init__(self, gateway: Gateway, key: str):
        self.gateway = gateway
        self.client = self.connect(key)

    def connect(self, key: str) -> Any:
        raise NotImplementedError

    def user(self, text: str, png: bytes | None = None) -> list:
        raise NotImplementedError

    def results(self, calls: Iterable[Call], results: Iterable[str]) -> list:
        raise NotImplementedError

    def ask(self, model: str, conversation: list, stream: bool = False, **wants) -> Answer:
        wants = Wants(**wants)
        return self.streamed(model, conversation, wants) if stream else self.whole(model, conversation, wants)

    def whole(self, model: str, conversation: list, wants: Wants) -> Answer:
        raise NotImplementedError

    def streamed(self, model: str, conversation: list, wants: Wants) -> Answer:
        raise NotImplementedError

    def status(self, error: Exception) -> int:
        return error.status_code

    def header(self, error: Exception, name: str) -> str | None:
        return error.response.headers.get(name)

    def message(self, error: Exception) -> str:
        return error.message


def schema_of(model: type[pydantic.BaseModel]) -> dict:
    return {**model.model_json_schema(), "additionalProperties": False}


class OpenAI(Speaker):
    """What both of OpenAI's dialects share."""

    raises = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
    }
    breaks = (openai.APIError, StreamFailed)

    def connect(self, key: str) -> openai.OpenAI:
        return clients.openai_client(self.gateway, api_key=key)


class Chat(OpenAI):
    name = "chat"

    def user(self, text: str, png: bytes | None = None) -> list:
        content: Any = text
        if png:
            url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
        return [{"role": "user", "content": content}]

    def results(self, calls: Iterable[Call], results: Iterable[str]) -> list:
        told = zip(calls, results, strict=True)
        return [{"role": "tool", "tool_call_id": call.id, "content": result} for call, result in told]

    def request(self, model: str, conversation: list, wants: Wants) -> dict:
        system = [{"role": "system", "content": wants.system}] if wants.system else []
        request = {"model": model, "messages": system + conversation, "max_completion_tokens": wants.limit}
        if wants.tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
                }
                for tool in wants.tools
            ]
        if wants.thinks:
            request["reasoning_effort"] = "low"
        if wants.schema:
            request["response_format"] = wants.schema
        return request

    def whole(self, model: str, conversation: list, wants: Wants) -> Answer:
        ask = self.client.chat.completions.parse if wants.schema else self.client.chat.completions.create
        return self.told(ask(**self.request(model, conversation, wants)))

    def streamed(self, model: str, conversation: list, wants: Wants) -> Answer:
        request = self.request(model, conversation, wants)
        with self.client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
            try:
                return self.told(stream.get_final_completion())
            except openai.LengthFinishReasonError as cut:
                return self.told(cut.completion)

    def told(self, completion) -> Answer:
        (choice,) = completion.choices
        message, usage = choice.message, completion.usage
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        return Answer(
            text=message.content or "",
            thought=getattr(message, "reasoning_content", None) or "",
            calls=[
                Call(call.id, call.function.name, json.loads(call.function.arguments))
                for call in message.tool_calls or []
            ],
            finish={"tool_calls": "tools"}.get(choice.finish_reason, choice.finish_reason),
            usage=(usage.prompt_tokens, usage.completion_tokens),
            turn=[message],
            parsed=getattr(message, "parsed", None),
        )


class Responses(OpenAI):
    name = "responses"

    def user(self, text: str, png: bytes | None = None) -> list:
        content: Any = text
        if png:
            url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            content = [{"type": "input_text", "text": text}, {"type": "input_image", "image_url": url, "detail": "auto"}]
        return [{"role": "user", "content": content}]

    def results(self, calls: Iterable[Call], results: Iterable[str]) -> list:
        told = zip(calls, results, strict=True)
        return [{"type": "function_call_output", "call_id": call.id, "output": result} for call, result in told]

    def request(self, model: str, conversation: list, wants: Wants) -> dict:
        request = {"model": model, "input": conversation, "max_output_tokens": wants.limit, "store": False}
        if wants.system:
            request["instructions"] = wants.system
        if wants.tools:
            request["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                    "strict": False,
                }
                for tool in wants.tools
            ]
        if wants.thinks:
            request["reasoning"] = {"effort": "low", "summary": "auto"}
            request["include"] = ["reasoning.encrypted_content"]
        if wants.schema:
            request["text_format"] = wants.schema
        return request

    def whole(self, model: str, conversation: list, wants: Wants) -> Answer:
        ask = self.client.responses.parse if wants.schema else self.client.responses.create
        return self.told(ask(**self.request(model, conversation, wants)))

    def streamed(self, model: str, conversation: list, wants: Wants) -> Answer:
        with self.client.responses.stream(**self.request(model, conversation, wants)) as stream:
            for event in stream:
                if event.type in ("error", "response.failed"):
                    raise StreamFailed(event)
                if event.type in ("response.completed", "response.incomplete"):
                    return self.told(event.response)
        raise AssertionError("the stream has no end")

    def told(self, response) -> Answer:
        calls = [
            Call(item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        thoughts = [item for item in response.output if item.type == "reasoning"]
        parts = [part for item in thoughts for part in [*item.summary, *(item.content or [])]]
        finish = response.incomplete_details.reason if response.incomplete_details else "stop"
        return Answer(
            text=response.output_text,
            thought="".join(part.text for part in parts),
            calls=calls,
            finish="tools" if calls else {"max_output_tokens": "length"}.get(finish, finish),
            usage=(response.usage.input_tokens, response.usage.output_tokens),
            turn=list(response.output),
            parsed=getattr(response, "output_parsed", None),
        )


class Messages(Speaker):
    name = "messages"
    raises = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
    }
    breaks = (anthropic.APIError,)

    def connect(self, key: str) -> anthropic.Anthropic:
        return clients.anthropic_client(self.gateway, api_key=key)

    def user(self, text: str, png: bytes | None = None) -> list:
        content: Any = text
        if png:
            source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png).decode()}
            content = [{"type": "image", "source": source}, {"type": "text", "text": text}]
        return [{"role": "user", "content": content}]

    def results(self, calls: Iterable[Call], results: Iterable[str]) -> list:
        told = zip(calls, results, strict=True)
        blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": result} for call, result in told]
        return [{"role": "user", "content": blocks}]

    def request(self, model: str, conversation: list, wants: Wants) -> dict:
        request = {"model": model, "messages": conversation, "max_tokens": wants.limit}
        if wants.system:
            request["system"] = wants.system
        if wants.tools:
            request["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in wants.tools
            ]
        if wants.thinks:
            request["thinking"] = {"type": "enabled", "budget_tokens": THINKING_TOKENS}
        if wants.schema:
            request["output_format"] = wants.schema
        return request

    def whole(self, model: str, conversation: list, wants: Wants) -> Answer:
        ask = self.client.messages.parse if wants.schema else self.client.messages.create
        return self.told(ask(**self.request(model, conversation, wants)))

    def streamed(self, model: str, conversation: list, wants: Wants) -> Answer:
        with self.client.messages.stream(**self.request(model, conversation, wants)) as stream:
            return self.told(stream.get_final_message())

    def told(self, message) -> Answer:
        calls = [Call(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
        usage = message.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        finish = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tools"}
        return Answer(
            text="".join(block.text for block in message.content if block.type == "text"),
            thought="".join(block.thinking for block in message.content if block.type == "thinking"),
            calls=calls,
            finish=finish.get(message.stop_reason, message.stop_reason),
            usage=(usage.input_tokens + cached, usage.output_tokens),
            turn=[{"role": "assistant", "content": message.content}],
            parsed=getattr(message, "parsed_output", None),
        )


class Gemini(Speaker):
    name = "gemini"
    raises = dict.fromkeys((400, 401, 404, 429), gemini_errors.ClientError)
    breaks = (gemini_errors.APIError,)

    def connect(self, key: str):
        return clients.gemini_client(self.gateway, key)

    def user(self, text: str, png: bytes | None = None) -> list:
        image = [gemini_types.Part.from_bytes(data=png, mime_type="image/png")] if png else []
        return [gemini_types.UserContent([gemini_types.Part(text=text), *image])]

    def results(self, calls: Iterable[Call], results: Iterable[str]) -> list:
        parts = [
            gemini_types.Part(
                function_response=gemini_types.FunctionResponse(id=call.id, name=call.name, response={"result": result})
            )
            for call, result in zip(calls, results, strict=True)
        ]
        return [gemini_types.UserContent(parts)]

    def request(self, model: str, conversation: list, wants: Wants) -> dict:
        config: dict = {"max_output_tokens": wants.limit, "automatic_function_calling": {"disable": True}}
        if wants.system:
            config["system_instruction"] = wants.system
        if wants.tools:
            declarations = [
                {"name": tool.name, "description": tool.description, "parameters_json_schema": tool.schema}
                for tool in wants.tools
            ]
            config["tools"] = [{"function_declarations": declarations}]
        if wants.thinks:
            config["thinking_config"] = {"include_thoughts": True, "thinking_budget": THINKING_TOKENS}
        if wants.schema:
            config |= {"response_mime_type": "application/json", "response_schema": wants.schema}
        return {"model": model, "contents": conversation, "config": config}

    def whole(self, model: str, conversation: list, wants: Wants) -> Answer:
        answer = self.client.models.generate_content(**self.request(model, conversation, wants))
        return self.told([answer], answer.parsed if wants.schema else None)

    def streamed(self, model: str, conversation: list, wants: Wants) -> Answer:
        chunks = list(self.client.models.generate_content_stream(**self.request(model, conversation, wants)))
        answer = self.told(chunks, None)
        if wants.schema:
            answer.parsed = wants.schema.model_validate_json(answer.text)
        return answer

    def told(self, chunks: list, parsed) -> Answer:
        candidates = [candidate for chunk in chunks for candidate in chunk.candidates or []]
        contents = [candidate.content for candidate in candidates if candidate.content]
        parts = [part for content in contents for part in content.parts or []]
        usage = chunks[-1].usage_metadata
        calls = [Call(part.function_call.id, part.function_call.name, part.function_call.args) for part in parts if part.function_call]
        finish = {"STOP": "stop", "MAX_TOKENS": "length"}
        reason = candidates[-1].finish_reason.value
        return Answer(
            text="".join(part.text for part in parts if part.text and not part.thought),
            thought="".join(part.text for part in parts if part.text and part.thought),
            calls=calls,
            finish="tools" if calls and reason == "STOP" else finish.get(reason, reason),
            usage=(usage.prompt_token_count, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)),
            turn=[gemini_types.Content(role="model", parts=parts)],
            parsed=parsed,
        )

    def status(self, error: Exception) -> int:
        return error.code


class Ollama(Speaker):
    name = "ollama"
    raises = dict.fromkeys((400, 401, 404, 429), ollama.ResponseError)
    breaks = (ollama.ResponseError,)

    def connect(self, key: str) -> ollama.Client:
        # The SDK's errors keep no headers.
        self.headers: dict = {}

        def keep(response) -> None:
            self.headers = response.headers

        return clients.ollama_client(self.gateway, key, event_hooks={"response": [keep]})

    def user(self, text: str, png: bytes | None = None) -> list:
        return [{"role": "user", "content": text, **({"images": [png]} if png else {})}]

    def results(self, calls: Iterable[Call], results: Iterable[str]) -> list:
        told = zip(calls, results, strict=True)
        return [{"role": "tool", "tool_name": call.name, "content": result} for call, result in told]

    def request(self, model: str, conversation: list, wants: Wants) -> dict:
        system = [{"role": "system", "content": wants.system}] if wants.system else []
        request = {
            "model": model,
            "messages": system + conversation,
            "options": {"num_predict": wants.limit},
            "think": wants.thinks,
        }
        if wants.tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
                }
                for tool in wants.tools
            ]
        if wants.schema:
            request["format"] = schema_of(wants.schema)
        return request

    def whole(self, model: str, conversation: list, wants: Wants) -> Answer:
        return self.told([self.client.chat(**self.request(model, conversation, wants))], wants)

    def streamed(self, model: str, conversation: list, wants: Wants) -> Answer:
        return self.told(list(self.client.chat(**self.request(model, conversation, wants), stream=True)), wants)

    def told(self, chunks: list, wants: Wants) -> Answer:
        messages, last = [chunk.message for chunk in chunks], chunks[-1]
        assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        calls = [call for message in messages for call in message.tool_calls or []]
        text = "".join(message.content or "" for message in messages)
        thought = "".join(message.thinking or "" for message in messages)
        turn = ollama.Message(role="assistant", content=text, thinking=thought or None, tool_calls=calls or None)
        return Answer(
            text=text,
            thought=thought,
            calls=[Call(None, call.function.name, dict(call.function.arguments)) for call in calls],
            finish="tools" if calls and last.done_reason == "stop" else last.done_reason,
            usage=(last.prompt_eval_count, last.eval_count),
            turn=[turn],
            parsed=wants.schema.model_validate_json(text) if wants.schema else None,
        )

    def header(self, error: Exception, name: str) -> str | None:
        return self.headers.get(name)

    def message(self, error: Exception) -> str:
        return error.error


class Bedrock(Speaker):
    name = "bedrock"
    breaks = (botocore.exceptions.EventStreamError,)

    def connect(self, key: str):
        client = clients.bedrock_client(self.gateway, key)
        self.raises = {
            400: client.exceptions.ValidationException,
            # Not in the service's model, as all that is wrong with credentials.
            401: botocore.exceptions.ClientError,
            404: client.exceptions.ResourceNotFoundException,
            429: client.exceptions.ThrottlingException,
        }
        return client

    def user(self, text: str, png: bytes | None = None) -> list:
        image = [{"image": {"format": "png", "source": {"bytes": png}}}] if png else []
        return [{"role": "user", "content": [{"text": text}, *image]}]

    def results(self, calls: Iterable[Call], results: Iterable[str]) -> list:
        told = zip(calls, results, strict=True)
        blocks = [{"toolResult": {"toolUseId": call.id, "content": [{"text": result}]}} for call, result in told]
        return [{"role": "user", "content": blocks}]

    def request(self, model: str, conversation: list, wants: Wants) -> dict:
        request: dict = {
            "modelId": model,
            "messages": conversation,
            "inferenceConfig": {"maxTokens": wants.limit},
        }
        if wants.system:
            request["system"] = [{"text": wants.system}]
        if wants.tools:
            specs = [
                {"name": tool.name, "description": tool.description, "inputSchema": {"json": tool.schema}}
                for tool in wants.tools
            ]
            request["toolConfig"] = {"tools": [{"toolSpec": spec} for spec in specs]}
        if wants.thinks:
            thinking = {"type": "enabled", "budget_tokens": THINKING_TOKENS}
            request["additionalModelRequestFields"] = {"thinking": thinking}
        if wants.schema:
            schema = {"name": wants.schema.__name__, "schema": json.dumps(schema_of(wants.schema))}
            request["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
        return request

    def whole(self, model: str, conversation: list, wants: Wants) -> Answer:
        answer = self.client.converse(**self.request(model, conversation, wants))
        return self.told(answer["output"]["message"], answer["stopReason"], answer["usage"], wants)

    def streamed(self, model: str, conversation: list, wants: Wants) -> Answer:
        stream = self.client.converse_stream(**self.request(model, conversation, wants))["stream"]
        message: dict = {}
        blocks: dict[int, dict] = {}
        reason, usage = "", {}
        for event in stream:
            match event:
                case {"messageStart": start}:
                    message = {"role": start["role"]}
                case {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": call}}}:
                    blocks[index] = {"toolUse": {**call, "input": ""}}
                case {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}}:
                    grow(blocks.setdefault(index, {}), delta)
                case {"messageStop": stop}:
                    reason = stop["stopReason"]
                case {"metadata": metadata}:
                    usage = metadata["usage"]
        for block in blocks.values():
            if call := block.get("toolUse"):
                call["input"] = json.loads(call["input"] or "{}")
            if thought := block.pop("reasoningContent", None):
                block["reasoningContent"] = thought if "redactedContent" in thought else {"reasoningText": thought}
        message["content"] = [blocks[index] for index in sorted(blocks)]
        return self.told(message, reason, usage, wants)

    def told(self, message: dict, reason: str, usage: dict, wants: Wants) -> Answer:
        assert message["role"] == "assistant"
        assert usage["totalTokens"] >= usage["inputTokens"] + usage["outputTokens"]
        content = message["content"]
        thoughts = [block["reasoningContent"] for block in content if "reasoningContent" in block]
        calls = [block["toolUse"] for block in content if "toolUse" in block]
        text = "".join(block.get("text", "") for block in content)
        cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
        finish = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tools"}
        return Answer(
            text=text,
            thought="".join(thought.get("reasoningText", {}).get("text", "") for thought in thoughts),
            calls=[Call(call["toolUseId"], call["name"], call["input"]) for call in calls],
            finish=finish.get(reason, reason),
            usage=(usage["inputTokens"] + cached, usage["outputTokens"]),
            turn=[message],
            parsed=wants.schema.model_validate_json(text) if wants.schema else None,
        )

    def status(self, error: Exception) -> int:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]

    def header(self, error: Exception, name: str) -> str | None:
        return error.response["ResponseMetadata"]["HTTPHeaders"].get(name)

    def message(self, error: Exception) -> str:
        return error.response["Error"]["Message"]


def grow(block: dict, delta: dict) -> None:
    """Adds a delta of Converse's to the block it belongs to: texts grow, fields gather."""
    for key, value in delta.items():
        if isinstance(value, dict):
            grow(block.setdefault(key, {}), value)
        elif isinstance(value, str) and key in block:
            block[key] += value
        else:
            block[key] = value


SPEAKERS: list[type[Speaker]] = [Chat, Responses, Messages, Gemini, Ollama, Bedrock]
