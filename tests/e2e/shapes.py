"""Holds request bodies against the types of the official SDKs, unknown fields refused.

The SDKs describe requests by typed dictionaries (OpenAI, Anthropic), by pydantic models (Google) or by a service
model (Amazon). Pydantic could check the first as well, but takes lists declared as `Iterable` unseen and cannot be told
to refuse unknown fields of other people's dictionaries; hence a small checker of our own.
"""

import collections.abc
import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import botocore.session
import botocore.validate
import pydantic
import typing_extensions
from anthropic.types import message_create_params
from google.genai import types as gemini
from openai.types.chat import completion_create_params
from pydantic.alias_generators import to_camel
from typing_extensions import NotRequired, Required, is_typeddict

SCALARS = {str: (str,), int: (int,), float: (int, float), bool: (bool,), type(None): (type(None),)}


def problems(value: object, hint: Any, path: str = "") -> Iterator[str]:
    """What is wrong with `value` as a `hint`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (Any, object):
        return
    if isinstance(hint, typing_extensions.TypeAliasType):
        yield from problems(value, hint.__value__, path)
    elif origin in (Annotated, Required, NotRequired):
        yield from problems(value, arguments[0], path)
    elif origin in (Union, types.UnionType):
        yield from problems_of_union(value, arguments, path)
    elif origin is Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif is_typeddict(hint):
        yield from problems_of_fields(value, hint, path)
    elif origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            yield f"{path}: not an object"
        else:
            for key, field in value.items():
                yield from problems(field, arguments[1], inner(path, key))
    elif origin in (list, collections.abc.Iterable, collections.abc.Sequence) or (origin and origin.__name__ == "SequenceNotStr"):
        if not isinstance(value, list):
            yield f"{path}: not a list"
        else:
            for at, item in enumerate(value):
                yield from problems(item, arguments[0], f"{path}[{at}]")
    elif hint in SCALARS:
        if not isinstance(value, SCALARS[hint]) or (isinstance(value, bool) and hint in (int, float)):
            yield f"{path}: {value!r} is no {hint.__name__}"
    # What is left are files and objects of the SDK, which no JSON holds.
    else:
        yield f"{path}: {value!r} cannot be a {hint}"


def inner(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def problems_of_union(value: object, options: tuple, path: str) -> Iterator[str]:
    """None when one option fits; else those of the option that fits best."""
    found = [list(problems(value, option, path)) for option in options]
    if [] not in found:
        # An option of another `type` complains of that; its other complaints help nobody.
        yield from min(found, key=lambda complaints: (any(one.startswith(f"{inner(path, 'type')}:") for one in complaints), len(complaints)))


@cache
def fields_of(hint: type) -> dict[str, Any]:
    return get_type_hints(hint, include_extras=True)


def problems_of_fields(value: object, hint: type, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    fields = fields_of(hint)
    for key in value.keys() - fields.keys():
        yield f"{inner(path, key)}: unknown to {hint.__name__}"
    for key in hint.__required_keys__ - value.keys():
        yield f"{inner(path, key)}: missing in {hint.__name__}"
    for key in value.keys() & fields.keys():
        yield from problems(value[key], fields[key], inner(path, key))


def openai_chat(body: dict) -> list[str]:
    params = completion_create_params
    kind = params.CompletionCreateParamsStreaming if body.get("stream") else params.CompletionCreateParamsNonStreaming
    return list(problems(body, kind))


def anthropic_messages(body: dict) -> list[str]:
    params = message_create_params
    kind = params.MessageCreateParamsStreaming if body.get("stream") else params.MessageCreateParamsNonStreaming
    return list(problems(body, kind))


class GenerateContent(pydantic.BaseModel):
    """The body the REST API takes; the SDK has types for its parts alone."""

    model_config = pydantic.ConfigDict(alias_generator=to_camel, extra="forbid")

    contents: list[gemini.Content]
    system_instruction: gemini.Content | None = None
    tools: list[gemini.Tool] | None = None
    tool_config: gemini.ToolConfig | None = None
    safety_settings: list[gemini.SafetySetting] | None = None
    generation_config: gemini.GenerationConfig | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None


def gemini_generate(body: dict) -> list[str]:
    try:
        GenerateContent.model_validate(body, by_name=False)
    except pydantic.ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


@cache
def converse_model() -> tuple[Any, Any]:
    session = botocore.session.get_session()
    validator = botocore.validate.ParamValidator()
    return validator, session.get_service_model("bedrock-runtime").operation_model("Converse").input_shape


def bedrock_converse(body: dict) -> list[str]:
    # The model's id travels in the path.
    validator, shape = converse_model()
    report = validator.validate({**body, "modelId": "any"}, shape)
    return report.generate_report().splitlines()
