"""One catalogue out of what the sources say, and what they disagree about."""

from decimal import Decimal

import genai_prices
from model import Model, Price
from report import Report

# Whose lists the later sources may lengthen: providers that the first has not or hardly has, or whose older models it
# forgets while people still name them, and whose models these sources call by the names the API takes.
ADDED = {
    "g": {"arcee", "cerebras", "groq", "moonshot", "openrouter"},
    "m": set(
        "anthropic cerebras chutes cohere digitalocean gemini github-models groq hugging-face mistral nvidia-nim "
        "ollama-cloud openai openrouter scaleway siliconflow stackit stepfun upstage venice vultr".split()
    ),
}
UNSAID = ((), ())


def merge(told: dict, overrides: list) -> tuple[list[Model], Report]:
    report = Report()
    models: dict[str, Model] = told["l"]
    for model in models.values():
        model.provenance = from_one(model, "l")
        drop_repeated(model)
    genai(models, told["g"], report)
    models_dev(models, told["m"], report)
    for override in overrides:
        apply(models, override, report)
    drop_zeros(models, report)
    fold_short_names(models)
    kept = [model for model in models.values() if usable(model)]
    return sorted(kept, key=lambda model: model.id.lower()), report


def from_one(model: Model, letter: str) -> dict[str, str]:
    fields = ("prices", "mode", "modalities", "limits", "capabilities", "lifecycle")
    return {name: letter for name in fields if getattr(model, name) not in ("", {}, UNSAID)}


def drop_repeated(model: Model) -> None:
    """A region's price that is the price everywhere need not be said."""
    for price in list(model.prices.values()):
        elsewhere = tuple((name, value) for name, value in price.when if name != "region")
        if elsewhere != price.when and (same := model.prices.get((price.meter, elsewhere))) and same.usd == price.usd:
            del model.prices[price.key]


def usable(model: Model) -> bool:
    """Names with spaces would not fit the file; those with a star are patterns, and nobody's names."""
    return not any(char.isspace() or char == "*" for char in model.id)


def genai(models: dict[str, Model], rows: dict, report: Report) -> None:
    for model in list(models.values()):
        name = model.upstream.lower()
        for row in rows.get(model.provider, []):
            if genai_prices.matches(row.match, name):
                compare(model, row.model, "g", report)
                break
    for provider, listed in rows.items():
        for row in listed:
            if provider in ADDED["g"]:
                add(models, row.model, "g")


def compare(model: Model, other: Model, letter: str, report: Report) -> None:
    """Notes what differs. Prices the first source lacks are taken where both mean the same offer."""
    same = True
    for key, price in model.prices.items():
        theirs = other.prices.get(key)
        if theirs is not None and theirs.usd != price.usd:
            same = False
            report.differ(model, price, theirs, letter)
    shared = [meter for meter in ("input", "output") if other.base(meter) is not None]
    if not same or not shared or any(model.base(meter) != other.base(meter) for meter in shared):
        return
    model.provenance["prices"] = model.provenance.get("prices", "") + letter
    if letter != "g":
        return
    for key, price in other.prices.items():
        # A factor says it already.
        if key not in model.prices and not any(f"{name}={value}" in model.factors for name, value in price.when):
            model.prices[key] = price
            report.filled += 1


def add(models: dict[str, Model], model: Model, letter: str) -> None:
    # What OpenRouter sells carries its maker's name; without it, it is a rule's name and nobody's model.
    nameless = model.provider == "openrouter" and "/" not in model.upstream
    if model.id.lower() not in models and not nameless:
        model.provenance = from_one(model, letter)
        models[model.id.lower()] = model


def models_dev(models: dict[str, Model], listed: dict[str, Model], report: Report) -> None:
    for key, other in listed.items():
        if key in models:
            compare(models[key], other, "m", report)
            complete(models[key], other)
        elif other.provider in ADDED["m"]:
            add(models, other, "m")


def complete(model: Model, other: Model) -> None:
    """Takes over what is not known yet."""
    if model.modalities == UNSAID and other.modalities != UNSAID:
        model.modalities = other.modalities
        model.provenance["modalities"] = "m"
    for name in ("limits", "capabilities", "lifecycle"):
        ours, theirs = getattr(model, name), getattr(other, name)
        new = {key: value for key, value in theirs.items() if key not in ours}
        agrees = any(ours.get(key) == value for key, value in theirs.items())
        ours.update(new)
        if new or agrees:
            model.provenance[name] = "".join(dict.fromkeys(model.provenance.get(name, "") + "m"))


def apply(models: dict[str, Model], override: tuple, report: Report) -> None:
    """One line of the overrides: what people found to be wrong everywhere."""
    key, what, value = override[:3]
    model = models.get(key.lower())
    if model is None:
        raise SystemExit(f"overrides.tsv: there is no model {key}")
    report.overrides += 1
    match what:
        case "drop":
            del models[key.lower()]
            return
        case "alias":
            model.aliases.add(value)
        case "price" | "drop-price":
            meter, *rest = value.split()
            usd = rest.pop(0) if what == "price" else "0"
            price = Price.listed(meter, Decimal(usd), **dict(part.split("=") for part in rest))
            if what == "price":
                model.prices[price.key] = price
            else:
                del model.prices[price.key]
            model.provenance["prices"] = "o" + model.provenance.get("prices", "")
        case "limit":
            name, number = value.split("=")
            model.limits[name] = int(number)
            model.provenance["limits"] = "o" + model.provenance.get("limits", "")
        case _:
            raise SystemExit(f"overrides.tsv: {what} is not known")


def drop_zeros(models: dict[str, Model], report: Report) -> None:
    """A list that says nothing costs anything says mostly that nobody looked: such a model has no price."""
    for model in models.values():
        if model.prices and not any(price.usd for price in model.prices.values()):
            provenance = model.provenance.get("prices", "")
            confirmed = provenance.startswith("o") or "g" in provenance[1:]
            if not confirmed and not model.upstream.endswith(":free"):
                model.prices, model.factors = {}, {}
                model.provenance.pop("prices", None)
                report.zeros.append(model.id)


def fold_short_names(models: dict[str, Model]) -> None:
    """Fireworks takes a path; lists hold the last part of it as well."""
    start = "accounts/fireworks/models/"
    for key in [key for key in models if key.startswith(f"fireworks/{start}")]:
        long = models[key]
        short = models.get(f"fireworks/{long.upstream[len(start):]}".lower())
        if short and (short.prices, short.mode) == (long.prices, long.mode):
            long.aliases.add(short.upstream)
            del models[short.id.lower()]
