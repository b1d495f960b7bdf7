"""`>=`: greater than or equal."""

from etracee.operators.ordering import Ordering


class GreaterEqual(Ordering):
    """Greater than or equal."""

    symbol = ">="
    doc = "Greater than or equal."
    examples = (("uid >= 1000", {"uid": 1000}, {"uid": 999}),)


OPERATOR = GreaterEqual()
