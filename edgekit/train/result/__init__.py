"""The files of a finished run: weights, model card and curve."""
