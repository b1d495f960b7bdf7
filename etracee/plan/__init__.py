"""Passes from profile and rules to a Plan, of which every name, place and size is known."""

from etracee.plan.attach import attach_by, call_functions
from etracee.plan.costs import Preference, prefer_attachment
from etracee.plan.model import EventPlan, Hook, Plan, Request, RulePlan
from etracee.plan.passes import make_plan

__all__ = [
    "EventPlan",
    "Hook",
    "Plan",
    "Preference",
    "Request",
    "RulePlan",
    "attach_by",
    "call_functions",
    "make_plan",
    "prefer_attachment",
]
