"""The `evidence-hpo` command."""
