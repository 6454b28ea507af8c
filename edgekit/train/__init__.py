"""Training of a student from the registry, and measuring what came out.

The story is `run.train`. It has two stages, each driven by `stages.drive`, which resumes, looks at
held-out photos and saves:

1. A teacher shows the encoder what to see (`teaching`): a model's image embeddings
   (`embedding_teacher`), or the feature maps of an ImageNet classifier (`distillation`,
   `mobilenet_v2`). No annotation is needed.
2. Masks (`loop`): prompts sampled from annotated instances, losses on what the decoder draws,
   phases from cheap windows to the whole frame (`recipe`).

How a batch of stage 2 comes about: `annotations` reads photos and masks; `windows` cuts a part of
the frame; `scenes` pastes other objects into it; `prompting` samples what a user might click;
`batches` stacks it; `forward` runs encoder and decoder on windows; `losses` scores; `correction`
clicks on the mistake for a second round. What the student knows before its first step: `starting`,
`initial`. What comes out: `weights_file`, `model_card` (`card_facts`), `curve`.

`evaluate` (with `deepest`) measures a bundle against annotations; it is torch-free and also runs
on a device. All randomness is a function of (seed, step).
"""
