"""etracee with a kernel that decides nothing: every event comes to Python, which has all rules.

Only a benchmark wants that, so it is no option; the arguments are those of `etracee`.
"""

from __future__ import annotations

from unittest import mock

from etracee.cli import main
from etracee.operators.base import Refusal

_REFUSAL = Refusal("everything is left to Python")

if __name__ == "__main__":
    with (
        mock.patch("etracee.plan.pushdown.c_form_of", return_value=_REFUSAL),
        mock.patch("etracee.plan.passes.build_tries", return_value={}),
    ):
        main()
