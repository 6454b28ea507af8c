"""Training of a model from annotated photos, from a teacher, or from both.

`run.train` is the whole story: read the data, start the student, drive one or two stages, write the
result. A stage of a teacher trains the encoder alone and needs no annotations. The stage with masks
trains encoder and decoder, in phases from coarse frames to the frame as at inference.

- `data/`: photos and masks as bytes on the device, views, scenes, prompts and batches.
- `teachers/`: a classifier's feature maps, or another model's image embeddings, as losses.
- `stages/`: the loop that resumes and saves, initial weights, the student, losses, the schedule.
- `proposals/`: a network that proposes prompts for everything mode, on a frozen encoder.
- `result/`: the weights file, the model card and the curve.
- `trainable`: which models can be trained, and which can teach.

All randomness is a function of (seed, step). `verification.evaluation` measures a bundle
against annotations.
"""
