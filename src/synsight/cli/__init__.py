"""The command line: one thin file per verb: parse, call the Python function of its name, print."""

from synsight.cli.app import main

__all__ = ["main"]
