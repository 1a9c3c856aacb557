"""Settings of all tests. Servers and clients are entered in the test body, so that their exceptions fail the test."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.counts import Counts

pytest_plugins = ["tests.apiserver.plugin"]

# The same examples in each run, so that failures are reproducible. No deadline: the load of machines varies.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

# A shell starts background processes with SIGINT ignored, which processes that a test starts and interrupts inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--counts",
        type=Path,
        help="add the number of integration tests that passed on each backend to this JSON file",
    )


def pytest_configure(config: pytest.Config) -> None:
    # With xdist the controller receives the reports of all workers, and only the controller has no workerinput.
    if (file := config.getoption("--counts")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Counts(file.absolute()), "counts")
