"""Passes from profile and rules to a Plan, of which every name, place and size is known."""

from etracee.plan.attach import attach_by, count_tracepoints
from etracee.plan.model import EventPlan, Hook, Plan, Request, RulePlan
from etracee.plan.passes import make_plan

__all__ = [
    "EventPlan",
    "Hook",
    "Plan",
    "Request",
    "RulePlan",
    "attach_by",
    "count_tracepoints",
    "make_plan",
]
