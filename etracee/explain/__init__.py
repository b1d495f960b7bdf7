"""What a profile and its rules become: what the kernel decides, what is captured, what it costs."""

from etracee.explain.analyse import explain
from etracee.explain.model import Attachment, Explanation
from etracee.explain.text import render_text

__all__ = ["Attachment", "Explanation", "explain", "render_text"]
