"""The worker of `live`: the product's own `wattfall worker` with its clock shifted, fed through a pipe or by a broker.

Started by `live` as `python -m tests.bench.live_worker SHIFT_S DESCRIPTOR MOST PROFILE ARGUMENT...`. What it sends
tells how many messages the worker has acknowledged; the first one, 0, that it is ready.
"""

import cProfile
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from unittest.mock import patch

PIPE = "mqtt://pipe/"  # the address of a broker that is not there


def run(shift: float, link: "Connection[int, list[tuple[str, bytes, int]]]", most: int, arguments: list[str]) -> None:
    """Run the command line until SIGTERM, and exit. The product is imported under the shifted clock."""
    real = time.time
    with patch("time.time", lambda: real() + shift):
        from aggregator.intake import mqtt, mqtt_feed
        from dashboard.commands.main import main

        class PipeSubscriber:
            """In place of the broker's subscriber: the messages come through the pipe."""

            def __init__(self, *_: object) -> None:
                self._waiting: deque[mqtt.Arrived] = deque()
                self._is_ready = False

            def take(self, wanted: int, wait_s: float) -> list[mqtt.Arrived]:
                if not self._is_ready:
                    link.send(0)
                    self._is_ready = True
                while len(self._waiting) < wanted and link.poll(0 if self._waiting else wait_s):
                    self._waiting += [mqtt.Arrived(topic, body, 1, number, 1) for topic, body, number in link.recv()]
                return [self._waiting.popleft() for _ in range(min(wanted, most, len(self._waiting)))]

            def acknowledge(self, messages: Iterable[mqtt.Arrived]) -> None:
                if count := sum(message.qos for message in messages):
                    link.send(count)

            def close(self) -> None:
                link.close()

        class BrokerSubscriber(mqtt.Subscriber):
            """The product's subscriber; it also tells what it acknowledges."""

            _is_ready = False

            def take(self, wanted: int, wait_s: float) -> list[mqtt.Arrived]:
                if not self._is_ready and self.is_subscribed:
                    link.send(0)
                    self._is_ready = True
                return super().take(min(wanted, most), wait_s)

            def acknowledge(self, messages: Iterable[mqtt.Arrived]) -> None:
                acknowledged = list(messages)
                super().acknowledge(acknowledged)
                if acknowledged:
                    link.send(len(acknowledged))

        with (
            patch.object(mqtt, "Subscriber", PipeSubscriber if PIPE in arguments else BrokerSubscriber),
            patch.object(mqtt_feed, "MANY", min(most, mqtt_feed.MANY)),
        ):
            main(arguments)


if __name__ == "__main__":
    shift_s, descriptor, most_at_once, profile, *command = sys.argv[1:]
    profiler = cProfile.Profile(time.thread_time) if profile else None  # CPU, also on a busy machine
    try:
        with profiler or nullcontext():
            run(float(shift_s), Connection(int(descriptor)), int(most_at_once), command)
    finally:
        if profiler:
            profiler.dump_stats(profile)
