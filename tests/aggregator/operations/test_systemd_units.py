"""The systemd units: one for each process, with no more than it needs."""

from aggregator.operations.systemd_units import processes, unit


def units(broker_url: str = "", server: str = "", *, needs_network: bool = False) -> dict[str, list[str]]:
    """Return the lines of each unit."""
    made = processes(broker_url, ("glow/+/#", "a b/%$x"), server, needs_network=needs_network)
    return {name: text.splitlines() for name, text in (unit(one, "/opt/bin/wattfall", "/backups") for one in made)}


def test_each_process_of_a_server_has_a_unit() -> None:
    assert [*units()] == ["wattfall-web.service", "wattfall-worker.service", "wattfall-ingest-server.service"]


def test_only_the_worker_does_without_a_network_and_writes_backups() -> None:
    found = units()
    assert [name for name, lines in found.items() if "PrivateNetwork=yes" in lines] == ["wattfall-worker.service"]
    assert [name for name, lines in found.items() if "ReadWritePaths=-/backups" in lines] == ["wattfall-worker.service"]
    assert "RestrictAddressFamilies=AF_UNIX" in found["wattfall-worker.service"]
    assert "PrivateNetwork=yes" not in units(needs_network=True)["wattfall-worker.service"]


def test_a_broker_gives_the_worker_its_network_and_its_topics() -> None:
    lines = units("mqtts://broker/")["wattfall-worker.service"]
    assert 'ExecStart=/opt/bin/wattfall worker --mqtt mqtts://broker/ --topic "glow/+/#" --topic "a b/%%$$x"' in lines
    assert "PrivateNetwork=yes" not in lines


def test_the_edge_has_a_unit_of_its_own() -> None:
    found = units("mqtt://localhost/", "https://energy.example.org")
    assert [*found] == ["wattfall-edge.service"]
    (start,) = [line for line in found["wattfall-edge.service"] if line.startswith("ExecStart=")]
    assert start.startswith("ExecStart=/opt/bin/wattfall edge --source mqtt://localhost/ ")
    assert start.endswith(" --to https://energy.example.org --data /var/lib/wattfall")


def test_every_unit_runs_as_a_user_of_its_own_on_a_read_only_system() -> None:
    for lines in units().values():
        assert {"User=wattfall", "ProtectSystem=strict", "NoNewPrivileges=yes", "UMask=0077"} <= {*lines}
