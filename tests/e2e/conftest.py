"""What the end-to-end tests stand on: the built binaries, one set of processes per module."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Processes

REPOSITORY = Path(__file__).parents[2]
LOG_TAIL = 4000
LOGS_SHOWN = 4

# Nothing here leaves the machine, whatever proxies it is set up for.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@pytest.fixture(scope="session")
def binaries() -> Path:
    """Where `trunkline` and `testkit` are: TRUNKLINE_BIN_DIR, or built now."""
    if given := os.environ.get("TRUNKLINE_BIN_DIR"):
        return Path(given)
    subprocess.run(["cargo", "build", "--quiet", "--workspace", "--bins", "--tests"], cwd=REPOSITORY, check=True)
    target = os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target"
    return Path(target) / "debug"


@pytest.fixture(scope="module")
def processes(binaries: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Processes]:
    """Starts servers for one module, and stops them with it."""
    processes = Processes(binaries, tmp_path_factory.mktemp(request.module.__name__))
    yield processes
    processes.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Shows the end of every server's log beside a failure."""
    report = yield
    processes = getattr(item, "funcargs", {}).get("processes")
    if report.failed and processes:
        for process in processes.all[-LOGS_SHOWN:]:
            title = f"{process.name} ({process.log_path.name})"
            report.sections.append((title, process.log()[-LOG_TAIL:] or "(silent)"))
    return report
