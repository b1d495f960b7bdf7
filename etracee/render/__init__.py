"""A Plan becomes a Program: C, a Python decoder, and their digest."""

from etracee.render.program import Program, render_program

__all__ = ["Program", "render_program"]
