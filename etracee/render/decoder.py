from etracee.plan import Plan
def render_decoder(plan: Plan, digest: str) -> str:
    return ""
