"""The tests' settings for a server that things happen to: kept answers, and little time.

SQLITE_TIMEOUT   seconds that an SQLite connection waits for a lock
"""

import os

from tests.settings import *

ROOT_URLCONF = "tests.faults.views"
del DATABASES["other"]  # In memory: there would be one lane, and rows of each connection's own.
BATCHAPI = {**BATCHAPI, "ENABLE_CACHING": True, "TIMEOUT": 1.0, "DEADLINE": 2.0, "MAX_LANES": 16}
BATCHAPI |= {"RETRY_ATTEMPTS": 3, "CIRCUIT_THRESHOLD": 0.5, "CIRCUIT_RESET": 1}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"]["timeout"] = float(os.environ.get("SQLITE_TIMEOUT", "0.5"))
