"""From photos and annotations to batches: reading, windows, scenes, prompts, corrections."""
