"""The published JSON Schema against the repository's own files, by a validator that is not ours."""

import json
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
FILES = sorted((REPOSITORY / "crates/gateway/tests/configurations").glob("*/*.yaml"))


@pytest.fixture(scope="module")
def schema(binaries: Path) -> jsonschema.Draft202012Validator:
    text = subprocess.check_output([binaries / "trunkline", "schema"], text=True)
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def examples(page: str) -> list[str]:
    """Our own form's examples on a page."""
    blocks = (REPOSITORY / page).read_text().split("```yaml")[1:]
    titled = [block.split("```")[0].split("\n", 1) for block in blocks]
    return [text for title, text in titled if title.strip() in ("", "native")]


PAGES = [
    ("docs/pools.md", 11),
    ("docs/configuration.md", 1),
    ("docs/catalog.md", 1),
    ("docs/mcp.md", 1),
    ("README.md", 1),
]


@pytest.mark.parametrize("page, count", PAGES)
def test_examples_fit(schema, page: str, count: int):
    found = examples(page)
    assert len(found) == count
    for text in found:
        assert [error.message for error in schema.iter_errors(yaml.safe_load(text))] == [], text


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_imported_files_fit(schema, binaries: Path, file: Path):
    def converted(form: str) -> str:
        # Some of these files protect something that is not carried over, which is an error where nobody has said so.
        argv = [binaries / "trunkline", "convert", file, "--to", form, "--allow-lost"]
        return subprocess.run(argv, text=True, capture_output=True, check=True).stdout

    document = yaml.safe_load(converted("yaml"))
    assert [error.message for error in schema.iter_errors(document)] == [], document
    assert json.loads(converted("json")) == document
    assert tomllib.loads(converted("toml")) == without_nothing(document)


def without_nothing(value: object) -> object:
    """TOML has no word for nothing; what is nothing is left out."""
    match value:
        case dict():
            return {key: without_nothing(each) for key, each in value.items() if each is not None}
        case list():
            return [without_nothing(each) for each in value if each is not None]
        case _:
            return value


@pytest.mark.parametrize(
    "text",
    [
        "listen: {prot: 1}",
        "listen: {port: 65536}",
        "backends: [{name: a, url: http://a, priority: 101}]",
        "pools: [{name: a}]",
        "pools: [{name: a, strategy: fastest, backends: [{name: b}]}]",
        "retry: {attempts: -1}",
        "timeouts: {idle: soon}",
        "routes: [{backend: a, content: {contains: x, regex: y}}]",
    ],
)
def test_what_is_wrong_does_not(schema, text: str):
    assert list(schema.iter_errors(yaml.safe_load(text))), text
