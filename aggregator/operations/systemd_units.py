"""Systemd units, one a process, hardened: a user of their own, a read-only system, no network where none is needed.

Pure. Test one with `systemd-analyze verify` and `systemd-analyze security`.
"""

from collections.abc import Sequence
from typing import NamedTuple

USER = "wattfall"
STATE = f"/var/lib/{USER}"
ENVIRONMENT = f"/etc/{USER}.env"
_HARDENED = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""


class Process(NamedTuple):
    """A process of an installation."""

    name: str
    arguments: tuple[str, ...]
    has_network: bool = True


def processes(broker_url: str, topics: Sequence[str], server: str, *, needs_network: bool) -> tuple[Process, ...]:
    """Return the processes of a server, or the edge that sends from the broker to `server`.

    The worker has a network only for a broker, or where it `needs_network` otherwise.
    """
    chosen = tuple(part for topic in topics for part in ("--topic", topic))
    if server:
        return (Process("edge", ("edge", "--source", broker_url, *chosen, "--to", server, "--data", STATE)),)
    broker = ("--mqtt", broker_url, *chosen) if broker_url else ()
    return (
        Process("web", ("web",)),
        Process("worker", ("worker", *broker), bool(broker) or needs_network),
        Process("ingest-server", ("ingest-server", "--port", "8051")),
    )


def unit(process: Process, command: str, backup_dir: str = "") -> tuple[str, str]:
    """Return the file name and the text of the unit of a process; `command` is the absolute path of `wattfall`."""
    line = " ".join(map(_quoted, (command, *process.arguments)))
    network = "After=network-online.target\nWants=network-online.target\n" if process.has_network else ""
    families = "AF_UNIX AF_INET AF_INET6" if process.has_network else "AF_UNIX"
    home = "read-only" if command.startswith(("/home/", "/root/")) else "yes"
    text = (
        f"[Unit]\nDescription=Wattfall {process.name}\n{network}StartLimitIntervalSec=600\nStartLimitBurst=5\n\n"
        f"[Service]\nExecStart={line}\nUser={USER}\nStateDirectory={USER}\nStateDirectoryMode=0700\nUMask=0077\n"
        f"WorkingDirectory={STATE}\nEnvironment=WATTFALL_STORE=sqlite:///{STATE}/wattfall.db\n"
        f"EnvironmentFile=-{ENVIRONMENT}\nRestart=on-failure\nRestartSec=10\nTimeoutStopSec=10\n"
        f"{_HARDENED.format(home=home)}RestrictAddressFamilies={families}\n"
        f"{'' if process.has_network else 'PrivateNetwork=yes' + chr(10)}"
        f"{f'ReadWritePaths=-{backup_dir}' + chr(10) if backup_dir and process.name == 'worker' else ''}"
        "\n[Install]\nWantedBy=multi-user.target\n"
    )
    return f"wattfall-{process.name}.service", text


def _quoted(word: str) -> str:
    """Quote a word of a command line as systemd reads it."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if any(letter in word for letter in " #+;'\"\\") else word
