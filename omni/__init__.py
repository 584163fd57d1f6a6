"""Omni: a sovereign AI operating environment for the terminal."""

__version__ = "0.3.0.dev0"
