"""What is known of the host besides the records: processes, users, containers."""

from etracee.enrich.host import Host

__all__ = ["Host"]
