"""HTML attributes with hyphens, which Python cannot spell as keywords."""

from typing import Any


def attributes(**named: object) -> dict[str, Any]:
    """`aria_label` as `aria-label`, `data_state` as `data-state`, to be handed on with `**`."""
    return {name.replace("_", "-"): value for name, value in named.items()}
