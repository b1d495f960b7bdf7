"""`<`: less than."""

from etracee.operators.ordering import Ordering


class Less(Ordering):
    """Less than."""

    symbol = "<"
    doc = "Less than."
    examples = (("ret < 0", {"ret": -1}, {"ret": 0}),)


OPERATOR = Less()
