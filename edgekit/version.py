"""The version.

It has a module of its own because `edgekit/__init__.py` names the whole library: a module of the
device part that imported the version from there would depend on everything.
"""

__version__ = "0.2.0"
