"""The budgets of a run: `WATTFALL_TEST_PROFILE` is `quick` (the default, for people) or `full` (`.ci/run`).

Each test runs in both. `quick` looks at a quarter of a property's examples, and repeats kills and faults less often.
"""

import os

from hypothesis import settings

VARIABLE = "WATTFALL_TEST_PROFILE"
SHARES = {"quick": 0.25, "full": 1.0}
FEWEST = 4  # examples of a property
DEFAULT = 100  # examples of a property that names no number, as hypothesis has it


def share() -> float:
    """The part of the full budget that this run uses. Raises KeyError for an unknown profile."""
    return SHARES[os.environ.get(VARIABLE, "quick")]


def scaled(full: int, fewest: int = 1) -> int:
    """A number of repetitions, of which `full` are the full budget."""
    return max(min(fewest, full), round(full * share()))


def examples(full: int) -> settings:
    """The settings of a property test that looks at `full` examples in the full profile."""
    return settings(max_examples=scaled(full, FEWEST))


def load_profile() -> None:
    """Set hypothesis up: no deadline on a shared machine, and the same examples on every run of CI."""
    budget = scaled(DEFAULT, FEWEST)
    settings.register_profile("wattfall", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=budget)
    settings.load_profile("wattfall")
