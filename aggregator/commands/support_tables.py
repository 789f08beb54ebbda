"""What the support desk shows, as text for people at a terminal. Pure."""

from aggregator.commands.text_tables import aligned
from aggregator.core.periods import iso_utc
from aggregator.intake.refusals import Refusals
from aggregator.support.audit_entry import Entry
from aggregator.support.fleet import Summary


def audit_line(entry: Entry) -> str:
    """An entry of the audit on one line."""
    who = entry.who.email or entry.who.name or entry.who.user_id
    details = " ".join(f"{name}={value}" for name, value in entry.details.items())
    texts = (iso_utc(entry.at), f"{entry.who.role} {who}", entry.action, entry.device_id or "-", entry.reason, details)
    return "\t".join(filter(None, texts))


def refused_table(found: Refusals) -> str:
    """Counts by day and reason, then the last messages."""
    rows = [(day, reason, str(count)) for day, counts in found.days.items() for reason, count in sorted(counts.items())]
    lines = aligned(rows, texts=2) if rows else ["nothing was refused"]
    for message in found.messages:
        detail, payload = (text if text.isprintable() else repr(text) for text in (message.detail, message.payload))
        lines += ["", f"{iso_utc(message.at)} {message.reason}: {detail}", f"  {payload}"]
    return "\n".join(lines)


def fleet_table(found: Summary) -> str:
    """The counts of a census."""
    rows = [(name.replace("_", " "), str(count)) for name, count in found.states.items()]
    rows += [(f"firmware {name}", str(count)) for name, count in found.firmwares.items()]
    rows += [(f"refused today: {name}", str(count)) for name, count in sorted(found.refused.items())]
    rows += [("documents waiting", str(found.waiting))] if found.waiting is not None else []
    return "\n".join([f"{found.devices} devices at {iso_utc(found.at)}", *aligned(rows)])
