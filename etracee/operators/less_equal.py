"""`<=`: less than or equal."""

from etracee.operators.ordering import Ordering


class LessEqual(Ordering):
    """Less than or equal."""

    symbol = "<="
    doc = "Less than or equal."
    examples = (("uid <= 999", {"uid": 999}, {"uid": 1000}),)


OPERATOR = LessEqual()
