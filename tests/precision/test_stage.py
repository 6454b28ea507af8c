"""The stage on a tiny model: what it caches, and the calibration that a plan names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from edgekit import catalog
from edgekit.catalog import PhotoSet, photos_from
from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.models.checkpoints.fit import Split
from edgekit.precision.measure import ranges
from edgekit.program.passes.exported_form import ExportedForms
from edgekit.program.programs import Programs
from edgekit.records import Bundle, Execution, Gate, Precision, Role, WeightsSource
from edgekit.stages import judging
from edgekit.stages.precision import make_plan
from edgekit.stages.verification import without_calibration_photos
from edgekit.store import sha256_of
from edgekit.verification import verify_predictors

SOURCE = WeightsSource(kind="seeded", licence="none", seed=0)


@pytest.fixture
def programs(tiny, monkeypatch: pytest.MonkeyPatch, tmp_path):
    """Programs of the tiny model under NanoSAM's name, with a cache of their own."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judging, "JUDGED_PHOTOS", dict.fromkeys(Precision, 1))
    model = tiny(1e6)
    row = replace(registry.model("nanosam"), client=model.client)
    modules = {role: model.program(role).exported.module() for role in Role}
    split = Split(
        row=row, source=SOURCE, encoder=modules[Role.ENCODER], decoder=modules[Role.DECODER]
    )
    loaded = Programs(row, SOURCE, ())
    loaded._split, loaded._encoder = split, model.encoder
    loaded._forms = ExportedForms(encoder=split.encoder, decoder=split.decoder, contract=row.graph)
    loaded._decoders[None] = model.decoder
    return loaded


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[PhotoSet]:
    """The image sets of all measurements."""
    sets: list[PhotoSet] = []
    measure = ranges.measure

    def count(*programs, photos, **options):
        sets.append(photos)
        return measure(*programs, photos=photos, **options)

    monkeypatch.setattr(ranges, "measure", count)
    return sets


def test_a_plan_names_its_calibration_and_is_made_once(programs, photos, measured) -> None:
    target = catalog.target("jetson-fp16")
    plan = make_plan(programs, target, photos)
    assert plan is not None
    assert plan.asked is Precision.FP16
    assert plan.recipe == "ranges"
    assert plan.calibration is not None
    assert plan.calibration.photos == (sha256_of(photos.photos[0].path),)
    assert plan.calibration.prompts > 0
    islands = {line.node for line in plan.part(Role.ENCODER).nodes if line.reason}
    assert "conv2d" in islands
    assert make_plan(programs, target, photos) == plan
    assert len(measured) == 1


@pytest.mark.slow
def test_targets_share_ranges_and_other_photos_are_measured_again(
    programs, photos, measured, tmp_path
) -> None:
    make_plan(programs, catalog.target("jetson-fp16"), photos)
    looser = catalog.target("rtx3090-fp16")
    make_plan(programs, replace(looser, gate=replace(looser.gate, min_iou=0.5)), photos)
    assert len(measured) == 1
    Image.new("RGB", (64, 48), "grey").save(tmp_path / "other.png")
    make_plan(programs, looser, photos_from(tmp_path / "other.png"))
    assert len(measured) == 2


@pytest.mark.parametrize("target", ["x86-fp32", "x86-ort-fp32"])
def test_float32_needs_no_plan_and_no_photo(programs, target: str) -> None:
    nothing = PhotoSet(name="none", photos=())
    assert make_plan(programs, catalog.target(target), nothing) is None


def test_bf16_is_judged_by_masks_and_measures_no_range(programs, photos, measured) -> None:
    plan = make_plan(programs, catalog.target("x86-bf16"), photos)
    assert plan is not None
    assert plan.recipe == "masks"
    found = {part.role: {line.precision for line in part.nodes} for part in plan.parts}
    assert found == {
        Role.ENCODER: {Precision.BF16},
        Role.DECODER: {Precision.BF16, Precision.FP32},
    }
    assert not measured


def test_bf16_needs_a_photo_to_be_judged_on(programs) -> None:
    with pytest.raises(BadInput, match="has no photo"):
        make_plan(programs, catalog.target("x86-bf16"), PhotoSet(name="none", photos=()))


@pytest.mark.parametrize(
    ("decoder", "mean_iou", "reason"),
    [
        ("bf16", 0.0, "8 bits of mantissa would move a point by pixels"),
        ("bf16", 1.1, "masks miss the gate in BF16"),
        ("fp32", 0.0, "recipe: the decoder stays float"),
    ],
)
def test_the_decoder_beside_a_coded_encoder(
    programs, photos, decoder: str, mean_iou: float, reason: str
) -> None:
    target = catalog.target("x86-int8")
    recipe, gate = replace(target.int8, decoder=decoder), Gate(mean_iou=mean_iou, min_iou=0.0)
    plan = make_plan(programs, replace(target, int8=recipe, gate=gate), photos)
    assert plan is not None
    part = plan.part(Role.DECODER)
    (found,) = {line.reason for line in part.nodes if line.reason}
    assert found.startswith(reason)
    assert any(line.precision is Precision.BF16 for line in part.nodes) == ("pixels" in reason)


def test_an_unreadable_photo_leaves_no_plan(programs, tmp_path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    target = catalog.target("jetson-fp16")
    with pytest.raises(BadInput, match=r"broken\.jpg"):
        make_plan(programs, target, photos_from(tmp_path / "broken.jpg"))
    assert not list((tmp_path / "cache").rglob("precision.json"))


def test_calibration_photos_are_not_verified(nanosam_like_bundle) -> None:
    bundle, calibrated = nanosam_like_bundle
    left = without_calibration_photos(bundle, catalog.image_set())
    assert not {photo.id for photo in left.photos} & {photo.id for photo in calibrated.photos}
    assert len(left.photos) + len(calibrated.photos) == len(catalog.image_set().photos)


@pytest.fixture
def nanosam_like_bundle(programs, photos, tmp_path):
    from edgekit.pack import make_manifest

    target = catalog.target("jetson-fp16")
    plan = make_plan(programs, target, photos)
    manifest = make_manifest(programs.row, target, SOURCE, artifacts=(), golden=())
    return Bundle(path=tmp_path, manifest=replace(manifest, calibration=plan.calibration)), photos


def test_an_emulated_verdict_gives_the_reason(tiny, photos) -> None:
    from edgekit.program.walk import Walk

    model = tiny()
    same = model.predictor(*(Walk(model.program(role), lambda _, r: r) for role in Role))
    why = Execution(how="emulated", reason="a test")
    verdict = verify_predictors(
        same, same, photos, gate=catalog.target("x86-fp32").gate, execution=why
    )
    assert verdict.passed
    assert (verdict.how, verdict.reason) == ("emulated", "a test")
