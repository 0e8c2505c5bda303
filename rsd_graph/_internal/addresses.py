"""Host names that mean this machine."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
