"""Leave out the decoders for several prompts that none of a model's prompts fits."""

from __future__ import annotations

from dataclasses import replace

from edgekit.records import Client, ClientContract, Target
from edgekit.runtime import Prompt
from edgekit.runtime.decoder_feeds import slots_of


def with_batches_in_use(target: Target, client: Client) -> Target:
    """The target with those of its `prompt_batches` that have slots for a point of this model.

    EfficientSAM's prompts are always filled up to six points, and a model of one graph has no
    decoder.
    """
    if not isinstance(client, ClientContract) or not client.decodes:
        return replace(target, prompt_batches=())
    least = slots_of(Prompt.checked(points=[[0, 0]], labels=[1]), client)
    used = tuple(batch for batch in target.prompt_batches if batch[1] >= least)
    return replace(target, prompt_batches=used)
