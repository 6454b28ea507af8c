"""The registry of models, their definitions, and the loading of their checkpoints."""
