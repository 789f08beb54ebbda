"""Visitors of the demo: whoever comes is one of its households, or its support desk, without a password.

Their accounts are made up and nowhere stored: they are gone the moment the store is not the demo's any more.
"""

from aggregator.demo.feed import is_demo
from aggregator.store.port import Store
from dashboard.accounts.users import SUPPORT, User
from dashboard.text.language import text

PREFIX = "demo/"
DESK = "support"
MOST_HOMES = 8
# What there is to see in a home, by the first word of its household.
KINDS = {
    "family": text("a family"),
    "solar": text("solar panels"),
    "ev": text("an electric car"),
    "flaky": text("gaps in the data"),
    "flat": text("a small flat"),
    "berlin": text("in Berlin"),
}


def choices(store: Store) -> list[tuple[str, str, str]]:
    """The households to choose from, each with its name and its kind; empty where the store is not the demo's."""
    if not is_demo(store):
        return []
    return [
        (device.household, device.name or device.device_id, KINDS.get(device.household.split("-")[0], ""))
        for device in store.devices(limit=MOST_HOMES)
        if device.household
    ]


def demo_user(store: Store, choice: str) -> User | None:
    """Who a visitor is by a choice; None where there is no such choice, or the store is not the demo's."""
    if not is_demo(store):
        return None
    if choice == DESK:
        return User(PREFIX + DESK, "desk@demo.invalid", "Demo Desk", SUPPORT)
    homes = store.household_devices(choice) if choice else []
    home = store.device(homes[0]) if homes else None
    return User(PREFIX + choice, name=home.name, household=choice) if home else None


def user_of(store: Store, user_id: str) -> User | None:
    """The made-up user of a session."""
    return demo_user(store, user_id.removeprefix(PREFIX)) if user_id.startswith(PREFIX) else None
