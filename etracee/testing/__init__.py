"""The tests that stand in rule files: over events as they are written, and over real commands."""
