"""Variants of evidence sentences: the items of a task, the methods of both families, rejection, banks and splicing."""
