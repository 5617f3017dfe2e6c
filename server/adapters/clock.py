"""The clock of the machine."""

import time


class SystemClock:
    """Implements `server.domain.ports.Clock`."""

    # The functions themselves: a call costs no frame of Python.
    monotonic_s = staticmethod(time.monotonic)
    utc_s = staticmethod(time.time)
