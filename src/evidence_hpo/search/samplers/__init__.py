"""Samplers: each makes the points of a round from finished trials, behind one interface."""
