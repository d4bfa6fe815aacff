"""Reproducible search, retraining and evaluation of criteria and evidence classifiers."""

__version__ = "0.1.0"
