"""Hypothesis everywhere: no deadline on a shared machine, and the same examples on every run of CI."""

import os

from hypothesis import settings

settings.register_profile("wattfall", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("wattfall")
