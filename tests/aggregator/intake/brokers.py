"""A real broker for tests: Debian's mosquitto on a free local port, with its data in a folder."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
PATIENCE_S = 20
SAVED = "persistence true\nmax_queued_messages 0\nmax_inflight_messages 0\n"  # saved when it ends


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class MosquittoBroker:
    """A broker that can be restarted; queued messages of a session survive."""

    folder: Path
    port: int = field(default_factory=free_port)
    more: str = "allow_anonymous true\n"
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}/"

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\n{SAVED}persistence_location {self.folder}/\n{self.more}user root\n"
        )
        self.process = subprocess.Popen([MOSQUITTO, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
            self.process = None


@contextmanager
def broker_in(folder: Path, more: str = "allow_anonymous true\n") -> Iterator[MosquittoBroker]:
    broker = MosquittoBroker(folder, more=more)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Publisher:
    """A client that publishes with QoS 1 and waits for the broker's acknowledgement."""

    def __init__(self, port: int, user: str = "", password: str = "") -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if user:
            self._client.username_pw_set(user, password)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self._client.publish(topic, payload, qos).wait_for_publish(PATIENCE_S)

    def flood(self, messages: Iterable[tuple[str, bytes]]) -> int:
        """Publish many messages, wait for all acknowledgements, and return their number."""
        waiting = [self._client.publish(topic, payload, 1) for topic, payload in messages]
        for one in waiting:
            one.wait_for_publish(PATIENCE_S)
        return len(waiting)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
