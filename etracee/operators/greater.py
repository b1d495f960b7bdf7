"""`>`: greater than."""

from etracee.operators.ordering import Ordering


class Greater(Ordering):
    """Greater than."""

    symbol = ">"
    doc = "Greater than."
    examples = (("port > 1023", {"port": 1024}, {"port": 1023}),)


OPERATOR = Greater()
