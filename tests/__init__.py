"""The tests. Compiled modules are kept, whatever the environment says: each process that a test starts imports some
300 of ours, and compiling them takes longer than most of what it then does.
"""

import os
import sys

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
