"""Measurements as Markdown."""

import json


def line(row):
    return json.dumps(row) + "\n"


def load(path):
    with open(path) as lines:
        return [json.loads(text) for text in lines]


def brief(row):
    """One line to follow a run by."""
    if row["test"] == "failed":
        return f"   failed: {row['why']}"
    if row["test"] == "start":
        return f"   start {row['seconds']:.3f} s, {row['memory_mib']:.0f} MiB"
    parts = [f"   {row['test']:<18} {row['rps']:>9,.0f} req/s  p50 {row['latency_us']['p50']:>9,.0f} us"]
    if row["events"]:
        parts.append(f"{row['events_per_s']:>9,.0f} ev/s  {number(row.get('us_per_event'), 1)} us/event")
    else:
        parts.append(f"{number(row.get('us_per_request'), 1)} us/req")
    if faults(row):
        parts.append(f"faults {faults(row)}")
    return "  ".join(parts)


def render(rows):
    """All tables that have something in them."""
    results = Results(rows)
    tables = [requests(results), bodies(results), rates(results), streams(results), held(results)]
    tables.append(translations(results))
    failed = [f"- `{row['target']}` failed: {row['why']}" for row in rows if row["test"] == "failed"]
    return "\n\n".join(table for table in [*tables, "\n".join(failed)] if table)


class Results:
    def __init__(self, rows):
        self.seen = {(row["target"], row["test"]): row for row in rows}
        self.plain = list(dict.fromkeys(row["target"] for row in rows if not row["translates"]))
        self.translating = list(dict.fromkeys(row["target"] for row in rows if row["translates"]))
        self.held = list(dict.fromkeys(row["test"] for row in rows if row["test"].startswith("hold-")))

    def value(self, target, test, *path):
        """One figure, or None. Figures from a run with faults are none: a refusal is quick."""
        row = self.seen.get((target, test))
        if row is None or (test != "start" and (not usable(row))):
            return None
        for step in path:
            # The mock by itself has no share of its own.
            row = None if row is None else row.get(step)
        return row

    def over(self, base, target, test, *path):
        """By how much the figure is above `base`'s."""
        own, other = self.value(target, test, *path), self.value(base, test, *path)
        return None if own is None or other is None else own - other

    def ratio(self, base, target, test, *path):
        own, other = self.value(target, test, *path), self.value(base, test, *path)
        return None if own is None or not other else own / other


def faults(row):
    return row["refused"] + row["failed"] + row["short"]


def usable(row):
    return faults(row) <= 0.01 * max(row["ok"], row["alive"])


def requests(results):
    columns = ["start s", "idle MiB", "p50 µs c=1", "added µs", "req/s c=1", "c=16", "c=64", "c=256", "c=1,024",
               "kept c=64→1,024", "× nginx req/s c=64", "p99 ms c=256", "CPU µs/req c=64 (user+sys)", "× nginx CPU"]

    def cells(name):
        value = results.value
        rps = {c: value(name, f"closed-{c}", "rps") for c in (1, 16, 64, 256, 1024)}
        kept = rps[1024] / rps[64] if rps[1024] and rps[64] else None
        return [
            number(value(name, "start", "seconds"), 3), number(value(name, "start", "memory_mib")),
            number(value(name, "closed-1", "latency_us", "p50")),
            number(results.over("direct", name, "closed-1", "latency_us", "p50")),
            *(number(rate) for rate in rps.values()), number(kept, 2),
            number(results.ratio("nginx", name, "closed-64", "rps"), 2),
            number(scaled(value(name, "closed-256", "latency_us", "p99"), 1e-3), 1),
            split(results, name, "closed-64"), number(results.ratio("nginx", name, "closed-64", "us_per_request"), 2),
        ]

    return table(results, "Requests of 0.2 KB, answers of 1 KB", columns, cells, "closed-64", "start")


def bodies(results):
    sizes = ["8KB", "128KB", "1MB"]
    columns = [f"{size} {what}" for size in sizes for what in ("req/s", "CPU µs/req", "× nginx")]

    def cells(name):
        return [cell for size in sizes for cell in (
            number(results.value(name, f"body-{size}", "rps")),
            number(results.value(name, f"body-{size}", "us_per_request")),
            number(results.ratio("nginx", name, f"body-{size}", "us_per_request"), 2),
        )]

    return table(results, "Larger prompts", columns, cells, "body-8KB")


def rates(results):
    rates = (200, 1000, 5000)
    columns = [f"{rate:,}/s: p50 / p99 µs (CPU µs/req)" for rate in rates]

    def cells(name):
        def cell(test):
            if results.value(name, test) is None:
                return "–"
            figure = lambda *path, places=0: number(results.value(name, test, *path), places)
            quantiles = f"{figure('latency_us', 'p50')} / {figure('latency_us', 'p99')}"
            return f"{quantiles} ({figure('us_per_request')})"
        return [cell(f"rate-{rate}") for rate in rates]

    return table(results, "Constant arrival rate", columns, cells, "rate-200")


def streams(results):
    columns = ["first event p50 µs", "added", "delay added p50 / p99 µs, 16 streams", "same, 200 streams",
               "CPU µs/event at 10,000 ev/s", "× nginx", "saturated ev/s c=16", "c=64", "c=64 / direct",
               "CPU µs/event c=64", "16 chunks per write: ev/s"]

    def cells(name):
        value = results.value
        added = lambda test, at: number(results.over("direct", name, test, "one_way_us", at))
        return [
            number(value(name, "paced-1", "first_event_us", "p50")),
            number(results.over("direct", name, "paced-1", "first_event_us", "p50")),
            *(f"{added(test, 'p50')} / {added(test, 'p99')}" for test in ("paced-16", "paced-200")),
            number(value(name, "paced-200", "us_per_event"), 1),
            number(results.ratio("nginx", name, "paced-200", "us_per_event"), 2),
            number(value(name, "saturated-16-by-1", "events_per_s")),
            number(value(name, "saturated-64-by-1", "events_per_s")),
            number(results.ratio("direct", name, "saturated-64-by-1", "events_per_s"), 2),
            number(value(name, "saturated-64-by-1", "us_per_event"), 1),
            number(value(name, "saturated-16-by-16", "events_per_s")),
        ]

    return table(results, "Streams of 64 chunks", columns, cells, "paced-1", "saturated-64-by-1")


def held(results):
    columns = ["asked", "alive", "KiB per stream", "MiB", "CPU µs/event", "delay p50 / p99 ms",
               "left upstream after 1 s"]
    tables = []
    for test in results.held:
        def cells(name, test=test):
            row = results.seen.get((name, test))
            if row is None:
                return ["–"] * len(columns)
            delay = row["one_way_us"]
            return [number(row["asked"]), number(row["alive"]), number(row["kib_per_stream"], 1),
                    number(row["memory_mib"]), number(row.get("us_per_event"), 1),
                    f"{delay['p50'] / 1000:.2f} / {delay['p99'] / 1000:.2f}", number(row["left_upstream"])]
        tables.append(table(results, "Held streams, one event a second each", columns, cells, test))
    return "\n\n".join(tables)


def translations(results):
    columns = ["p50 µs c=1", "added µs", "req/s c=64", "CPU µs/req c=64 (user+sys)", "CPU µs/event at 10,000 ev/s",
               "saturated ev/s c=64", "CPU µs/event there"]

    def cells(name):
        value = results.value
        return [
            number(value(name, "closed-1", "latency_us", "p50")),
            number(results.over("direct", name, "closed-1", "latency_us", "p50")),
            number(value(name, "closed-64", "rps")), split(results, name, "closed-64"),
            number(value(name, "paced-200", "us_per_event"), 1),
            number(value(name, "saturated-64-by-1", "events_per_s")),
            number(value(name, "saturated-64-by-1", "us_per_event"), 1),
        ]

    rows = results.translating
    return markdown("OpenAI Chat to Anthropic Messages", columns, {name: cells(name) for name in rows}) if rows else ""


def table(results, title, columns, cells, *tests):
    """Rows for the targets that took any of `tests`; nothing when none did."""
    took = [name for name in results.plain if any((name, test) in results.seen for test in tests)]
    return markdown(title, columns, {name: cells(name) for name in took}) if took else ""


def markdown(title, columns, rows):
    lines = [f"### {title}", "", "| target | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    return "\n".join(lines)


def split(results, name, test):
    """CPU time per request and what it consists of."""
    parts = [results.value(name, test, f"{part}us_per_request") for part in ("", "user_", "system_")]
    if None in parts:
        return "–"
    return f"{parts[0]:.1f} ({parts[1]:.0f}+{parts[2]:.0f})"


def scaled(value, factor):
    return None if value is None else value * factor


def number(value, places=0):
    return "–" if value is None else f"{value:,.{places}f}"
