"""Rules over events."""
