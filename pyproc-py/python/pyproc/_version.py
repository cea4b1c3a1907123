"""The numbers that a host compares before it imports anything else from here."""

VERSION = "0.1.0"
"""The version of the distribution `pyproc-py`."""

PROTOCOL_VERSION = 1
"""The version of the binary protocol. The bootstrap reads this line without importing it."""

MIN_PYTHON = (3, 10)
"""The oldest interpreter that this package runs on."""
