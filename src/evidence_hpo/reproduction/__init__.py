"""Reproduction of a recorded run: its evaluation replayed, or its training repeated, and the numbers compared."""
