"""One module per rule: reads files, calls the packages, writes files."""
