"""Another web process: reads a chart of cad-1 through the cache at an address, and prints its import."""

import sys

from flask import Flask

from aggregator.store import open_store
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.dashboard.homes import NOW
from tests.dashboard.people import MEMBER

store = open_store(sys.argv[1])
data = CachedReads(store, open_cache(Flask("another"), sys.argv[2]), lambda: NOW)
device = data.device(MEMBER, "cad-1")
assert device
data.live(device)
document = data.document(device, "day", "2026-11-22")
assert document
print(document.total.import_wh)
store.close()
