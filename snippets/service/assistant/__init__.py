"""A small AI backend: it stores documents and finds them by meaning."""

__version__ = "1.0.0"
