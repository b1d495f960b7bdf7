"""Profiles as they are written: their models, their files, and what `extends` makes of them."""

from etracee.profile.load import load_profile, read_profile
from etracee.profile.model import Counting, Options, Profile, WatchedEvent

__all__ = ["Counting", "Options", "Profile", "WatchedEvent", "load_profile", "read_profile"]
