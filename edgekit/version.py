"""The version, apart from the package's `__init__`: that one names the whole library, and a module
of the device part that asked it for the version would depend on everything."""

__version__ = "0.2.0"
