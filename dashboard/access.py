"""Who may see which device: the one place that decides. Every read of the dashboard passes through it."""

from aggregator.documents import Device
from aggregator.store.base import Store


def visible_device(store: Store, viewer: str | None, device_id: str) -> Device | None:  # noqa: ARG001
    """A device if the viewer may see it. Until there is sign-in, everybody sees every known device."""
    return store.device(device_id)
