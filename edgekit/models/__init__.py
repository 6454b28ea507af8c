"""Define the models, list them in a registry, and load their checkpoints."""
