"""LiteLLM's price list (the MIT part of its wheel): the base of the catalogue."""

import json
import re
from decimal import Decimal
from zipfile import ZipFile

import names
from model import MODALITIES, Model, Price

FILE = "litellm/model_prices_and_context_window_backup.json"

METERS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "cache_read_input_token_cost": "cache_read",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h",
    "input_cost_per_audio_token": "input_audio",
    "input_cost_per_image_token": "input_image",
    "input_cost_per_video_token": "input_video",
    "output_cost_per_audio_token": "output_audio",
    "output_cost_per_image_token": "output_image",
    "output_cost_per_video_token": "output_video",
    "citation_cost_per_token": "citation",
    "input_cost_per_character": "character",
    "google_maps_grounding_cost_per_query": "maps_query",
    "code_interpreter_cost_per_session": "code_session",
    "vector_store_cost_per_gb_per_day": "storage_gb_day",
    "ocr_cost_per_page": "page",
    "annotation_cost_per_page": "annotated_page",
    "input_cost_per_request": "request",
    "input_cost_per_audio_per_second": "second",
    "input_cost_per_video_per_second": "given_video_second",
    # Another name of `cache_read_input_token_cost`, which wins where both stand: `Model.add` keeps the first.
    "input_cost_per_token_cache_hit": "cache_read",
}
TIERS = {"batches": "batch", "flex": "flex", "priority": "priority", "balanced": "balanced", "ultrafast": "ultrafast"}
FIELD = re.compile(rf"^({'|'.join(METERS)})(?:_above_(\d+)k_tokens)?(?:_({'|'.join(TIERS)}))?$")
SIZED_IMAGE = re.compile(r"^output_cost_per_image_(\d[\d.]*K?)$")
SIZED_VIDEO = re.compile(r"^output_cost_per_second_(\d+[pk])$")

# Long prompts begin at the threshold itself.
INCLUSIVE = {"xai"}

MODES = {
    "chat": "chat",
    "responses": "chat",
    "completion": "completion",
    "embedding": "embedding",
    "image_generation": "image",
    "image_edit": "image_edit",
    "audio_transcription": "transcription",
    "audio_speech": "speech",
    "video_generation": "video",
    "realtime": "realtime",
    "rerank": "rerank",
    "search": "search",
    "ocr": "ocr",
    "moderation": "moderation",
}

CAPABILITIES = {
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_tool_choice": "tool_choice",
    "supports_forced_tool_use": "forced_tools",
    "supports_tool_search": "tool_search",
    "supports_vision": "vision",
    "supports_pdf_input": "pdf",
    "supports_audio_input": "audio_in",
    "supports_audio_output": "audio_out",
    "supports_video_input": "video_in",
    "supports_response_schema": "schema",
    "supports_native_structured_output": "native_schema",
    "supports_system_messages": "system",
    "supports_mid_conversation_system": "late_system",
    "supports_prompt_caching": "cache",
    "supports_reasoning": "reasoning",
    "supports_adaptive_thinking": "adaptive_thinking",
    "supports_legacy_thinking": "budgeted_thinking",
    "thinking_always_on": "always_thinks",
    "supports_none_reasoning_effort": "effort_none",
    "supports_minimal_reasoning_effort": "effort_minimal",
    "supports_low_reasoning_effort": "effort_low",
    "supports_xhigh_reasoning_effort": "effort_xhigh",
    "supports_max_reasoning_effort": "effort_max",
    "supports_assistant_prefill": "prefill",
    "supports_sampling_params": "sampling",
    "supports_native_streaming": "streaming",
    "supports_web_search": "web_search",
    "supports_url_context": "url_context",
    "supports_computer_use": "computer_use",
}
LIMITS = {
    "max_input_tokens": "input",
    "max_output_tokens": "output",
    "rpm": "rpm",
    "tpm": "tpm",
    "output_vector_size": "dimensions",
    "prompt_cache_min_tokens": "cache_min",
}
COMMITMENT = re.compile(r"/\d+-month-commitment/")
SIZE = re.compile(r"^(\d+|max)-x-(\d+|max)$")
QUALITIES = {"low", "medium", "high", "standard", "hd"}


def read(wheel: ZipFile, _day: str) -> dict[str, Model]:
    rows = json.loads(wheel.read(FILE), parse_float=Decimal, parse_int=Decimal)
    models: dict[str, Model] = {}
    # The shortest first: a name's own row comes before those of its regions and sizes.
    for key in sorted(rows, key=lambda key: (key.count("/"), key)):
        row = rows[key]
        if key in ("sample_spec", "fallback_generalizations") or COMMITMENT.search(key):
            continue
        provider = names.provider(row["litellm_provider"])
        upstream, when = place(key, provider)
        model = models.setdefault(f"{provider}/{upstream}".lower(), Model(provider, upstream))
        describe(model, row)
        for price in prices(row, provider, when):
            model.add(price)
    return models


def place(key: str, ours: str) -> tuple[str, dict]:
    """What the provider calls the model, and the region, quality and size that the key says beside it."""
    parts = key.split("/")
    when = {}
    # In front of some providers' names stand those of the picture.
    while len(parts) > 1 and read_picture(parts[0], when):
        parts.pop(0)
    if len(parts) > 1 and names.provider(parts[0]) == ours:
        parts.pop(0)
    while len(parts) > 1 and read_picture(parts[0], when):
        parts.pop(0)
    if len(parts) > 1 and ours in ("bedrock", "azure-openai") and read_region(parts[0]):
        when["region"] = read_region(parts.pop(0))
    return "/".join(parts), when


def read_picture(part: str, when: dict) -> bool:
    if size := SIZE.match(part):
        when["size"] = f"{size[1]}x{size[2]}"
    elif part in QUALITIES or part.endswith("-steps"):
        when["quality"] = part
    else:
        return False
    return True


def read_region(part: str) -> str | None:
    if re.fullmatch(r"[a-z]{2}(?:-gov)?-[a-z]+-\d", part) or part in ("eu", "us", "apac"):
        return part
    return {"global": "global", "global-standard": "global"}.get(part)


def describe(model: Model, row: dict) -> None:
    """What is not said yet: the first row of a model wins."""
    model.mode = model.mode or MODES.get(row.get("mode"), "other" if "mode" in row else "")
    given = row.get("supported_endpoints") or (["/v1/responses"] if row.get("mode") == "responses" else [])
    model.endpoints = model.endpoints or tuple(sorted(path.removeprefix("/v1/").lstrip("/") for path in given))
    if model.modalities == ((), ()) and "supported_modalities" in row:
        sides = (row["supported_modalities"], row.get("supported_output_modalities", []))
        model.modalities = tuple(tuple(sorted(MODALITIES & set(side))) for side in sides)
    for theirs, ours in LIMITS.items():
        if (limit := row.get(theirs)) and Decimal(limit) >= 1:
            model.limits.setdefault(ours, int(Decimal(limit)))
    for theirs, ours in CAPABILITIES.items():
        if isinstance(row.get(theirs), bool):
            model.capabilities.setdefault(ours, row[theirs])
    model.default_effort = model.default_effort or row.get("default_reasoning_effort") or ""
    if day := row.get("deprecation_date"):
        model.lifecycle.setdefault("ends", day)
    if free := row.get("search_free_requests"):
        model.free = model.free or (f"web_search={free['count']}/{free['period']}",)
    if peak := row.get("off_peak_pricing"):
        model.off_peak = model.off_peak or tuple(map(window, peak["windows"]))
    factors(model, row)


def window(given: dict) -> str:
    """Days from 1 (Monday) and hours in UTC: `12345@00:00-01:00,04:00-06:00`."""
    hours = given["hours_utc"]
    days = "".join(str(day) for day in given["weekdays"])
    return f"{days}@{hours if isinstance(hours, str) else ','.join(hours)}"


def factors(model: Model, row: dict) -> None:
    for field, condition in [
        ("regional_processing_uplift_multiplier_eu", "region=eu"),
        ("regional_processing_uplift_multiplier_us", "region=us"),
        ("regional_endpoint_uplift_multiplier", "region=regional"),
    ]:
        if field in row:
            model.factors.setdefault(condition, row[field])
    special = row.get("provider_specific_entry") or {}
    for name, condition in [("us", "region=us"), ("fast", "speed=fast")]:
        if name in special:
            model.factors.setdefault(condition, special[name])


def prices(row: dict, provider: str, when: dict):
    above = "from" if provider in INCLUSIVE else "above"
    for field in METERS:
        for name in sorted(name for name in row if name.startswith(field)):
            if (match := FIELD.match(name)) and match[1] == field and row[name] is not None:
                threshold = {above: int(match[2]) * 1000} if match[2] else {}
                yield Price.each(METERS[field], row[name], tier=TIERS.get(match[3]), **threshold, **when)
    yield from by_range(row, when)
    yield from off_peak(row, when)
    yield from made(row, when)
    if search := row.get("search_context_cost_per_query"):
        sizes = {size: search.get(f"search_context_size_{size}") for size in ("low", "medium", "high")}
        if len(set(sizes.values())) == 1:
            sizes = {None: sizes["low"]}
        for size, usd in sizes.items():
            if usd is not None:
                yield Price.each("web_search", usd, context=size)
    if (calls := row.get("file_search_cost_per_1k_calls")) is not None:
        yield Price.each("file_search_call", calls / 1000)
    if (query := row.get("input_cost_per_query")) is not None:
        yield Price.each("search_unit" if row.get("mode") == "rerank" else "query", query)


def by_range(row: dict, when: dict):
    """Whole requests by the length of their prompt; what a range does not price costs its input."""
    bands = row.get("tiered_pricing") or []
    # A table that prices reads from the cache somewhere means them to have a price everywhere.
    known = {field for band in bands for field in band}
    for band in bands:
        start = int(band["range"][0]) if "range" in band else 0
        threshold = {"above": start} if start else {}
        for field, meter in METERS.items():
            usd = band.get(field)
            if usd is None and field in known and meter in ("cache_read", "cache_write"):
                usd = band.get("input_cost_per_token")
            if usd is not None:
                yield Price.each(meter, usd, **threshold, **when)


def off_peak(row: dict, when: dict):
    for field, usd in (row.get("off_peak_pricing") or {}).items():
        if field in METERS:
            yield Price.each(METERS[field], usd, off_peak="yes", **when)


def made(row: dict, when: dict):
    """Pictures, films and sound, whose fields mean different things in different modes."""
    mode = row.get("mode")
    given, image = row.get("input_cost_per_image"), row.get("output_cost_per_image")
    if mode in ("image_generation", "image_edit") and image is None:
        given, image = None, given
    if image is not None:
        yield Price.each("image", image, **when)
    if given is not None:
        yield Price.each("given_image", given, **when)
    pixel = row.get("output_cost_per_pixel") or row.get("input_cost_per_pixel")
    if pixel and image is None:
        yield Price.each("pixel", pixel, **when)
    second = row.get("output_cost_per_second") or row.get("input_cost_per_second") or row.get("cost_per_second")
    if mode == "video_generation":
        second = row.get("output_cost_per_video_per_second", row.get("output_cost_per_second"))
        meter = "video_second"
    else:
        meter = "second" if mode in ("audio_transcription", "audio_speech", "realtime") else "gpu_second"
    if second is not None:
        yield Price.each(meter, second, **when)
    for name, usd in sorted(row.items()):
        if size := SIZED_VIDEO.match(name):
            yield Price.each("video_second", usd, size=size[1])
        elif size := SIZED_IMAGE.match(name):
            yield Price.each("image", usd, size=size[1].lower())
