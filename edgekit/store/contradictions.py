"""Contradictions in targets and manifests: values of the right type that cannot be right."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.records import (
    Artifact,
    Client,
    ClientContract,
    DetectionRule,
    EverythingRule,
    Manifest,
    MaskChoice,
    MaskRule,
    PhotoClient,
    Precision,
    Preprocessing,
    Role,
    Target,
    VolumeContract,
)
from edgekit.records.client import MOST_CROPS, MOST_GRID
from edgekit.store.bounds import out_of_bounds

_LARGEST_FRAME = 4096  # 16 times the pixels of SAM's 1024; a larger frame would only exhaust memory
_LARGEST_VOLUME = 512  # voxels along each axis: 64 times those of FastSAM3D's 128
_MOST_OBJECTS = 10_000  # box suppression takes time with their square
_MOST_DECODERS = 16
_DTYPES = frozenset(
    {"float16", "float32", "float64", "bool"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_MASKS = 6  # one single mask, three for multimask, and two of HQ-SAM 2's own


def in_target(target: Target) -> Iterator[str]:
    """Problems of a target profile, one line each."""
    yield from out_of_bounds(target)
    yield from _in_profile(target)


def _in_profile(target: Target) -> Iterator[str]:
    gate = target.gate
    if not (0 <= gate.min_iou <= gate.mean_iou <= 1 and 0 <= gate.p5_iou <= gate.mean_iou):
        yield "gate: 0 <= min_iou <= mean_iou <= 1 and 0 <= p5_iou <= mean_iou do not hold"
    if (target.precision is Precision.INT8) != (target.int8 is not None):
        yield "int8: the table is required for precision int8, and only there"
    slots = target.prompt_slots
    if list(slots) != sorted(set(slots)) or len(slots) > _MOST_DECODERS:
        yield f"prompt_slots: must be at least 1 and in ascending order; at most {_MOST_DECODERS}"
    yield from _in_batches(target)
    if not _is_specifier(target.runtime_versions):
        yield "runtime_versions: must be version specifiers, such as >=10.3,<12"


def _in_batches(target: Target) -> Iterator[str]:
    batches, slots = target.prompt_batches, target.prompt_slots
    if any(prompts < 2 or not slots or points > slots[-1] for prompts, points in batches):
        yield (
            "prompt_batches: must be [prompts, points], 2 prompts or more with no more points "
            "than the largest of prompt_slots"
        )
    if len(set(batches)) < len(batches) or len(batches) > _MOST_DECODERS:
        yield f"prompt_batches: must differ; at most {_MOST_DECODERS}"


def _is_specifier(text: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def in_manifest(manifest: Manifest) -> Iterator[str]:
    """Problems of a manifest except those of its files, one line each."""
    yield from out_of_bounds(manifest)
    yield from (f"target.{problem}" for problem in _in_profile(manifest.target))
    yield from _in_client(manifest.client)
    yield from _in_roles(manifest)
    for artifact in manifest.artifacts:
        yield from _in_artifact(artifact)
        yield from _between(artifact, manifest.client)
    listed_files = len(manifest.weights.files)
    if any(index >= listed_files for o in manifest.weights.origins for index in o.files):
        yield "weights.origins: names a file that weights.files does not have"
    listed = [file for artifact in manifest.artifacts for file in artifact.contents]
    paths = [file.path for file in (*listed, *manifest.golden)]
    if len(set(paths)) < len(paths):  # otherwise one large file could be hashed a million times
        yield "artifacts, golden: a file is listed twice"


def _in_roles(manifest: Manifest) -> Iterator[str]:
    roles = sorted(artifact.role for artifact in manifest.artifacts)
    if not manifest.client.decodes:
        if roles != [Role.ENCODER]:
            yield "artifacts: one encoder is needed, and no other graph"
        return
    shapes = manifest.target.prompt_shapes
    if not shapes and roles != sorted(Role):
        yield "artifacts: one encoder and one decoder are needed"
    if shapes and roles != sorted([Role.ENCODER, *[Role.DECODER] * len(shapes)]):
        yield (
            "artifacts: one encoder, and a decoder for each of target.prompt_slots and "
            "prompt_batches, are needed"
        )
    decoders = (artifact for artifact in manifest.artifacts if artifact.role is Role.DECODER)
    if shapes and {decoder.prompt_shape for decoder in decoders} != set(shapes):
        yield (
            "artifacts: the decoders' point_labels do not have target.prompt_slots and "
            "prompt_batches"
        )


def _in_client(client: Client) -> Iterator[str]:
    if isinstance(client, VolumeContract):
        yield from _in_volume_rules(client)
    else:
        yield from _in_photo_rules(client)


def _in_volume_rules(client: VolumeContract) -> Iterator[str]:
    for name, side in (("preprocessing.frame", client.preprocessing.frame), ("side", client.side)):
        if not 1 <= side <= _LARGEST_VOLUME:
            yield f"client.{name}: must be 1 to {_LARGEST_VOLUME}"
    for name, choice in (("single", client.single), ("multimask", client.multimask)):
        if problem := _in_choice(choice):
            yield f"client.{name}: {problem}"
    if len(client.single.masks) != 1 and client.single.keep == "all":
        yield "client.single: must choose one mask"


def _in_photo_rules(client: PhotoClient) -> Iterator[str]:
    yield from _in_preprocessing(client.preprocessing)
    if isinstance(client, ClientContract):
        yield from _in_decoding(client)
    else:
        yield from _in_detection(client.objects)


def _in_preprocessing(rule: Preprocessing) -> Iterator[str]:
    yield from _in_frame("preprocessing.frame", rule.frame)
    if min(rule.std) <= 0:
        yield "client.preprocessing.std: must be positive"
    if not 0 <= rule.fill <= 255:
        yield "client.preprocessing.fill: must be 0 to 255"


def _in_frame(where: str, frame: int) -> Iterator[str]:
    if not 1 <= frame <= _LARGEST_FRAME:
        yield f"client.{where}: must be 1 to {_LARGEST_FRAME}"


def _in_detection(rule: DetectionRule) -> Iterator[str]:
    shares = (rule.score, rule.overlap, rule.whole)
    if not all(0 <= share <= 1 for share in shares):
        yield "client.objects: score, overlap and whole must be 0 to 1"
    if not 1 <= rule.most <= _MOST_OBJECTS:
        yield f"client.objects.most: must be 1 to {_MOST_OBJECTS}"


def _in_decoding(client: ClientContract) -> Iterator[str]:
    yield from _in_frame("prompts.frame", client.prompt_frame)
    yield from _in_frame("masks.side", client.masks.side)
    rule = client.prompts
    if rule.padding_point == "fill" and rule.max_points is None:
        yield "client.prompts: padding to max_points needs max_points"
    if client.drawing and not 0 < client.drawing.radius <= client.prompt_frame:
        yield "client.drawing.radius: must be above 0, and at most the frame"
    if rule.point_margin is not None and rule.point_margin < 1:
        yield "client.prompts.point_margin: must be positive"
    yield from _in_masks(client.masks)
    yield from _in_everything(client.everything)


def _in_everything(rule: EverythingRule) -> Iterator[str]:
    if problem := _in_choice(rule.choice):
        yield f"client.everything.choice: {problem}"
    shares = (rule.stability, rule.overlap, rule.crop_overlap, rule.overlap_across_crops)
    if not all(0 <= share <= 1 for share in shares):
        yield "client.everything: stability and all overlaps must be 0 to 1"
    if not 1 <= rule.grid <= MOST_GRID or not 0 <= rule.crops <= MOST_CROPS:
        yield f"client.everything: grid must be 1 to {MOST_GRID}, and crops 0 to {MOST_CROPS}"
    if rule.crop_grid_divisor < 1 or rule.min_area < 0:
        yield "client.everything: crop_grid_divisor must be positive, and min_area not negative"


def _in_masks(rule: MaskRule) -> Iterator[str]:
    for choice in (rule.single, rule.multimask, *rule.others):
        if problem := _in_choice(choice):
            yield f"client.masks: {problem}"
    if len(rule.single.masks) != 1 and rule.single.keep == "all":
        yield "client.masks.single: must choose one mask"


def _in_choice(choice: MaskChoice) -> str | None:
    indices = [*choice.masks, *_stable_indices(choice)]
    if choice.masks and min(indices) >= 0 and max(indices) < _MASKS:
        return None
    return f"indices must be 0 to {_MASKS - 1}"


def _in_artifact(artifact: Artifact) -> Iterator[str]:
    paths = {file.path for file in artifact.files}
    if artifact.entry not in paths | {_folder_of(paths)}:
        yield f"artifacts.{artifact.role}.entry: is neither one of its files nor their folder"
    for tensor in (*artifact.inputs, *artifact.outputs):
        if any(isinstance(size, int) and size < 1 for size in tensor.shape):
            yield f"artifacts.{artifact.role}: tensor {tensor.name} has a size below 1"
        if tensor.dtype not in _DTYPES:
            yield f"artifacts.{artifact.role}: tensor {tensor.name} has the type {tensor.dtype}"


def _between(artifact: Artifact, client: Client) -> Iterator[str]:
    """What a graph's tensors and the client's rules say differently of the same thing."""
    frame = client.preprocessing.frame
    shapes = {tensor.name: tensor.shape for tensor in (*artifact.inputs, *artifact.outputs)}
    image = shapes.get("image") if artifact.role is Role.ENCODER else None
    if image is not None and image != _image_shape(client):
        yield f"client.preprocessing.frame: is {frame}, and the encoder's image {[*image]}"
    masks = shapes.get("low_res_masks", ())
    if isinstance(client, VolumeContract):
        yield from _between_volumes(masks, client)
    elif len(masks) == 4 and isinstance(masks[1], int) and isinstance(client, ClientContract):
        if max(_indices(client), default=0) >= masks[1]:
            yield f"client.masks: indices must be below {masks[1]}, the decoder's masks"
        if masks[2:] != (client.masks.side, client.masks.side):
            yield f"client.masks.side: is {client.masks.side}, and the decoder's masks {[*masks]}"


def _image_shape(client: Client) -> tuple[int, ...]:
    frame = client.preprocessing.frame
    if isinstance(client, VolumeContract):
        return 1, client.image_channels, frame, frame, frame
    return 1, client.image_channels, frame, frame


def _between_volumes(masks: tuple[int | str, ...], client: VolumeContract) -> Iterator[str]:
    """As `_between`, for the shape of `low_res_masks`; empty in an encoder."""
    if masks and masks[2:] != (client.side, client.side, client.side):
        yield f"client.side: is {client.side}, and the decoder's masks {[*masks]}"
    named = (*client.single.masks, *client.multimask.masks)
    if masks and isinstance(masks[1], int) and max(named) >= masks[1]:
        yield f"client: masks must be below {masks[1]}, the decoder's"


def _indices(client: ClientContract) -> list[int]:
    """Every index of a mask that a client's rules name."""
    rule = client.masks
    choices = (rule.single, rule.multimask, *rule.others, client.everything.choice)
    return [index for choice in choices for index in (*choice.masks, *_stable_indices(choice))]


def _stable_indices(choice: MaskChoice) -> list[int]:
    stable = choice.unless_stable
    return [stable.index, stable.measured_index] if stable else []


def _folder_of(paths: set[str]) -> str | None:
    """The top folder of all paths; None if they have different ones."""
    folders = {path.partition("/")[0] for path in paths}
    return folders.pop() if len(folders) == 1 else None
