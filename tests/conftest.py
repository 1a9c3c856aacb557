"""What all tests share: nothing but settings. Worlds are entered in the test body, where a crash in them is seen."""

from __future__ import annotations

from hypothesis import settings

# The same examples each time: a test that fails sometimes helps nobody. No deadline: machines are noisy.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")
