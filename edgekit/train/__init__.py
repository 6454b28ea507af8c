"""Training of a student from the registry: masks with prompts, and distillation."""
