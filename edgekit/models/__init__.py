"""Model definitions, the registry, and loading of checkpoints."""
