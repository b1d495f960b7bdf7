"""Rules as they are written: their model, their files, their outputs and their tests."""

from etracee.rules.load import load_rules
from etracee.rules.model import Rule

__all__ = ["Rule", "load_rules"]
