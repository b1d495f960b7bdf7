"""Rules as they are written: their model, their files, their outputs and their tests."""

from etracee.rules.load import load_rules
from etracee.rules.model import Rule, RuleSet

__all__ = ["Rule", "RuleSet", "load_rules"]
