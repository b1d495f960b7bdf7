"""Where events, alerts and losses go: one module for each form."""
