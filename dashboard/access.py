"""Who may see which device: the one place that decides. Every read of the dashboard passes through it."""

from aggregator.documents import Device
from aggregator.store.base import Store


def viewer() -> str | None:
    """Who asks, in the request at hand. Until there is sign-in, nobody in particular."""
    return None


def visible_device(store: Store, viewer: str | None, device_id: str) -> Device | None:  # noqa: ARG001
    """A device if the viewer may see it. Until there is sign-in, everybody sees every known device."""
    return store.device(device_id)


def may_change_tariff(viewer: str | None, device: Device) -> bool:  # noqa: ARG001
    """Whether a viewer who sees a device may change what its energy costs. Until there is sign-in, everybody may."""
    return True
