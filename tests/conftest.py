"""What all tests share: nothing but settings. Worlds are entered in the test body, where a crash in them is seen."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.counts import Counts

pytest_plugins = ["tests.apiserver.plugin"]

# The same examples each time: a test that fails sometimes helps nobody. No deadline: machines are noisy.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

# A shell starts what it runs in the background with Ctrl-C ignored; so would be what a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--counts", type=Path, help="add to this JSON file how many integration tests passed on which backend"
    )


def pytest_configure(config: pytest.Config) -> None:
    # With xdist the reports of all workers reach the controller, and only it has no workerinput.
    if (file := config.getoption("--counts")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Counts(file.absolute()), "counts")
