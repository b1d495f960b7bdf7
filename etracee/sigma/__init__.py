"""Sigma rules, turned into etracee's by a processing pipeline and a backend for pySigma."""
