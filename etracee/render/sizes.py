"""How much the maps of a program hold, and what its loops are bounded by."""

from __future__ import annotations

TRACKED_PROCESSES = 65536
"""Processes that a program can follow, of a command and its descendants."""
CALLS_UNDER_WAY = 512
"""Calls for a new image that are between their entry and their end, at once; others are lost."""
TIMED_THREADS = 65536
"""Threads of which the last entry is known, at once; the calls of others are counted."""
CLOSING_THREADS = 4096
"""Threads of which it is known what they are closing, at once."""
CLOSING_BYTES = 2048
"""Room for a DescriptorPath; a power of two."""
CLOSING_PROCESSES = 1024
"""Processes of which it is known how often they have closed by io_uring."""
ENDED_PROCESSES = 1024
"""Processes that have been told to have ended, of those that end at once."""
PROTECTED_PROCESSES = 1024
"""Processes that no rule may end."""
OTHER_EXECS = 1024
"""Tasks within an execve that is not watched, at once."""
SAMPLE = 256
"""Records of an event that a program sends from each processor where it only weighs the others."""
MOST_DEPTH = 128
"""Names and mounts of a path that are followed; trees on disk have about 60 at most."""
