"""Where somebody goes on after signing in: an address of this site, whatever the link said. Pure."""

import re
from urllib.parse import quote

LONGEST = 1024
# One slash, and then no second, which a browser takes for another site, as it does a backslash; spaces and control
# characters it leaves out, so that what seems harmless with them is not without.
_OWN = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def onward(address: object) -> str:
    """An address of this site as it is; the start page instead of anything else."""
    is_own = isinstance(address, str) and len(address) <= LONGEST and _OWN.fullmatch(address)
    return str(address) if is_own and not str(address).startswith(("/sign-", "/_")) else "/"


def sign_in_url(address: str) -> str:
    """Where to sign in, to go on at an address."""
    wanted = onward(address)
    return "/sign-in" if wanted == "/" else f"/sign-in?next={quote(wanted, safe='/')}"
