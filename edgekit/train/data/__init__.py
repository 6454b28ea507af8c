"""From photos and annotations to batches: canvases, views, scenes, prompts, corrections."""
