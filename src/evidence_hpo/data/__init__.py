"""Sources, validation, alignment, splits and examples of the corpus; the bundled sample corpus."""
