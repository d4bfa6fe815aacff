"""Tracking: jobs write events to files, and MLflow is fed from the files. It can neither break nor change a run."""
