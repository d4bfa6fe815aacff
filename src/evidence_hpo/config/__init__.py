"""The typed configuration: one module a section; `configuration` holds the whole."""
