"""Which addresses are this machine's."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
