"""Compile, load and attach (in a process of its own, with BCC), hand over, and read the ring."""
