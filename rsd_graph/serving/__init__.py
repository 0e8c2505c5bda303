"""Model servers: planned from the configuration, started, and kept running."""
