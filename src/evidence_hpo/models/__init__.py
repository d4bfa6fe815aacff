"""Encoders, pooling, heads and the four architectures."""
