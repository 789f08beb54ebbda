"""How good the signal between a device and its meter is, by what the device says of it. Pure."""

from collections.abc import Mapping
from typing import Literal

from aggregator.core.periods import DAY_S
from aggregator.intake.status import Known, Status
from dashboard.text.language import Language, text

Strength = Literal["good", "fair", "weak"]

# -85 dBm is what IEEE 802.15.4 asks of a receiver at 2.4 GHz: below it messages are lost; 10 dB above it there is room
# for a door that is shut. LQI goes from 0 to 255 and is no percentage. How it is measured is each maker's own; these
# limits are those of Schneider Electric's guide to its Zigbee gateways. The figures stand beside the word at the desk.
WEAK_DBM, FAIR_DBM = -85, -75
WEAK_LQI, FAIR_LQI = 30, 60
FRESH_S = DAY_S  # what a device said longer ago says nothing about now
_SAID: Mapping[Strength, str] = {
    "good": text(" · signal good"),
    "fair": text(" · signal fair"),
    "weak": text(" · signal weak"),
}


def strength(status: Status) -> Strength | None:
    """The worse of both figures; one that is not known counts for nothing, and neither for nothing at all."""
    if status.rssi_dbm is None and status.lqi is None:
        return None
    rssi = 0 if status.rssi_dbm is None else status.rssi_dbm
    lqi = 255 if status.lqi is None else status.lqi
    if rssi < WEAK_DBM or lqi < WEAK_LQI:
        return "weak"
    return "fair" if rssi < FAIR_DBM or lqi < FAIR_LQI else "good"


def said(known: Known | None, now: int, lang: Language) -> str:
    """What the home is told, after the age of its newest reading; empty where nothing fresh is known."""
    found = strength(known.status) if known and now - known.received_at <= FRESH_S else None
    return lang.say(_SAID[found]) if found else ""
