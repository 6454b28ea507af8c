"""A proposal network for everything mode, trained on the frozen encoder of a model.

`run.train_proposals` is the whole story. `centres` makes the targets from masks, `features` the
inputs from photos, `network` is what is trained, and `lesson` its loss.
"""
