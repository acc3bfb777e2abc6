"""Pydantic's genai-prices: the second source of prices, kept by other people from the vendors' own pages.

Its data is Python; it is read as a syntax tree and never run.
"""

import ast
import datetime
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from zipfile import ZipFile

import names
from model import Model, Price

METERS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "cache_read_mtok": "cache_read",
    "cache_audio_read_mtok": "cache_read_audio",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "input_image_mtok": "input_image",
    "input_video_mtok": "input_video",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
    "output_citation_mtok": "citation",
}
PER_THOUSAND = {"web_searches_kcount": "web_search", "storage_searches_kcount": "file_search_call"}
VARIANTS = {
    ("processing", "batch"): {"tier": "batch"},
    ("service_tier", "flex"): {"tier": "flex"},
    ("service_tier", "priority"): {"tier": "priority"},
    ("speed", "fast"): {"speed": "fast"},
}
# Priced, but with other names for what others call by the models' own.
SKIPPED = {"azure", "cursor", "openai-decisions", "modal"}


@dataclass(frozen=True)
class Call:
    """A constructor's name and arguments."""

    name: str
    fields: dict


@dataclass(frozen=True)
class Row:
    """A model, and the rule by which others' names for it are known."""

    model: Model
    match: Call


def read(wheel: ZipFile, day: str) -> dict[str, list[Row]]:
    tree = ast.parse(wheel.read("genai_prices/data.py"))
    listed = next(node.value for node in tree.body if isinstance(node, ast.AnnAssign))
    today = datetime.date.fromisoformat(day)
    rows: dict[str, list[Row]] = {}
    for provider in map(value, listed.elts):
        theirs = provider.fields["id"]
        if theirs in SKIPPED or theirs.startswith("huggingface_"):
            continue
        own = names.provider(theirs)
        rows[own] = [row(own, model.fields, today) for model in provider.fields["models"]]
    # One list stands for both of Google's services.
    rows["vertex-ai"] = [Row(replace(of.model, provider="vertex-ai"), of.match) for of in rows["gemini"]]
    return rows


def row(provider: str, fields: dict, today: datetime.date) -> Row:
    model = Model(provider, fields["id"], mode="chat")
    if window := fields.get("context_window"):
        model.limits["context"] = window
    if fields.get("deprecated"):
        model.lifecycle["status"] = "deprecated"
    for price in prices(standard(fields["prices"], today), {}):
        model.add(price)
    for variant in fields.get("price_variants") or []:
        when = VARIANTS.get(next(iter(variant.fields["when"].items())))
        if when and begun(variant.fields.get("constraint"), today):
            for price in prices(variant.fields["prices"], when):
                model.add(price)
    return Row(model, fields["match"])


def standard(given: object, today: datetime.date) -> Call:
    """The last of several that holds today. What holds by the hour is not the standard price."""
    if isinstance(given, Call):
        return given
    return [price for price in given if begun(price.fields.get("constraint"), today)][-1].fields["prices"]


def begun(constraint: Call | None, today: datetime.date) -> bool:
    if constraint is None:
        return True
    return constraint.name == "StartDateConstraint" and constraint.fields["start_date"] <= today


def prices(given: Call, when: dict):
    for field, usd in given.fields.items():
        if usd is None:
            continue
        if field in PER_THOUSAND:
            yield Price.listed(PER_THOUSAND[field], usd / 1000, **when)
        elif field in METERS and isinstance(usd, Call):
            yield Price.listed(METERS[field], usd.fields["base"], **when)
            for tier in usd.fields["tiers"]:
                yield Price.listed(METERS[field], tier.fields["price"], **threshold(tier.fields["start"]), **when)
        elif field in METERS:
            yield Price.listed(METERS[field], usd, **when)


def threshold(start: int) -> dict:
    """Their bounds are exclusive throughout: 199999 is said where 200000 tokens cost more already."""
    return {"from": start + 1} if start % 1000 == 999 else {"above": start}


def matches(rule: Call, name: str) -> bool:
    """Whether `name`, in lower case, is one of those the rule is for."""
    (given,) = rule.fields.values()
    match rule.name:
        case "ClauseEquals":
            return name == given.lower()
        case "ClauseStartsWith":
            return name.startswith(given.lower())
        case "ClauseEndsWith":
            return name.endswith(given.lower())
        case "ClauseContains":
            return given.lower() in name
        case "ClauseRegex":
            return re.search(given, name) is not None
        case "ClauseOr":
            return any(matches(part, name) for part in given)
        case "ClauseAnd":
            return all(matches(part, name) for part in given)
    raise ValueError(f"genai-prices has a rule that is not known: {rule.name}")


def value(node: ast.expr) -> object:
    """A literal, or a call of a constructor as its name and arguments."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [value(part) for part in node.elts]
    if isinstance(node, ast.Dict):
        return {value(key): value(part) for key, part in zip(node.keys, node.values)}
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    if name == "Decimal":
        return Decimal(value(node.args[0]))
    if name == "date":
        return datetime.date(*map(value, node.args))
    # The time zone of a time of day is no literal, and always UTC.
    fields = {keyword.arg: value(keyword.value) for keyword in node.keywords if keyword.arg != "tzinfo"}
    return Call(name, fields)
