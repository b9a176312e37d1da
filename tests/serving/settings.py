"""The tests' settings, for a real server: the routes of tests/serving/views.py, and no database in memory.

In memory anywhere, batches would have one lane; and each connection would see rows of its own.
"""

from tests.settings import *

ROOT_URLCONF = "tests.serving.views"
del DATABASES["other"]
