from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import Label
from edgekit.verify.prompts import (
    PromptKind,
    Subject,
    subjects_of,
    trials_for_masks,
    trials_for_subjects,
)

HEIGHT, WIDTH = 120, 160
DECODED = set(PromptKind) - {PromptKind.EVERYTHING}


@pytest.fixture
def found(photo, rectangle):
    """Subjects of a photo that holds the rectangles given."""

    def make(*boxes):
        instances = tuple(rectangle(*box) for box in boxes)
        return subjects_of(photo(instances=instances), height=HEIGHT, width=WIDTH)

    return make


def test_the_point_is_deep_inside_and_the_negative_outside_but_near(found):
    (subject,) = found((20, 20, 100, 80))
    x, y = subject.point
    assert 45 <= x <= 75
    assert 45 <= y <= 55
    away_x, away_y = subject.negative
    assert not subject.truth[away_y, away_x]
    assert 0 <= away_x <= 121
    assert 5 <= away_y <= 96
    assert subject.box == (20, 20, 100, 80)


def test_largest_median_and_smallest_are_picked_and_specks_are_not(found):
    sides = (100, 90, 80, 60, 40, 31)
    picked = found(*((0, 0, side, side) for side in sides))
    assert [subject.box[2] for subject in picked] == [100, 80, 40]


def test_one_instance_is_one_subject(found):
    assert len(found((0, 0, 50, 50))) == 1


def test_an_annotation_of_another_size_names_the_photo(photo, rectangle):
    wrong = photo("wrong", (rectangle(0, 0, 50, 50),))
    with pytest.raises(BadInput, match=r"wrong\.png"):
        subjects_of(wrong, height=HEIGHT + 1, width=WIDTH)


def test_specks_alone_give_the_layout(found):
    assert [subject.truth for subject in found((0, 0, 31, 31))] == [None, None, None]


def test_an_object_that_fills_the_photo_has_no_negative_and_keeps_the_other_kinds(found):
    subjects = found((-5, -5, WIDTH + 5, HEIGHT + 5))
    assert subjects[0].negative is None
    kinds = {trial.kind for trial in trials_for_subjects(subjects, seed="a")}
    assert kinds == DECODED - {PromptKind.POINT_WITH_NEGATIVE}


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (7, 900), (2, 2)])
def test_the_layout_lies_inside_any_photo(photo, size):
    for subject in subjects_of(photo(), height=size[0], width=size[1]):
        x0, y0, x1, y1 = subject.box
        assert 0 <= x0 < x1 <= size[1]
        assert 0 <= y0 < y1 <= size[0]
        for x, y in (subject.point, subject.negative):
            assert 0 <= x <= size[1]
            assert 0 <= y <= size[0]
        x, y = subject.point
        assert x0 <= x <= x1
        assert y0 <= y <= y1


@pytest.mark.parametrize(("count", "decodes"), [(1, 6), (2, 8), (3, 10)])
def test_every_kind_is_tried_within_ten_decodes(count, decodes):
    trials = trials_for_subjects((stand_in(),) * count, seed="any")
    assert len(trials) == decodes
    kinds = Counter(trial.kind for trial in trials)
    assert set(kinds) == DECODED
    assert kinds[PromptKind.POINT] == kinds[PromptKind.BOX] == count


def test_what_each_kind_sends():
    trials = {trial.kind: trial for trial in trials_for_subjects((stand_in(),), seed="any")}
    subject = stand_in()
    point, both = (subject.point,), (subject.point, subject.negative)
    expected = {
        PromptKind.POINT: (point, (1,), None),
        PromptKind.POINT_WITH_NEGATIVE: (both, (Label.FOREGROUND, Label.BACKGROUND), None),
        PromptKind.BOX: ((), (), subject.box),
        PromptKind.BOX_WITH_POINT: (point, (1,), subject.box),
        PromptKind.REFINEMENT: (point, (1,), None),
        PromptKind.MULTIMASK: (point, (1,), None),
    }
    for kind, sent in expected.items():
        assert (trials[kind].points, trials[kind].labels, trials[kind].box) == sent
    assert [kind for kind, trial in trials.items() if trial.multimask] == [PromptKind.MULTIMASK]


def test_what_a_family_refuses_is_not_sent():
    subjects = (stand_in(),) * 3
    asked = trials_for_subjects(subjects, seed="any")
    kept = trials_for_subjects(subjects, seed="any", refuses=("background_point", "mask"))
    gone = {PromptKind.POINT_WITH_NEGATIVE, PromptKind.REFINEMENT}
    assert kept == tuple(trial for trial in asked if trial.kind not in gone)
    assert not any(trial.mask_from for trial in kept)
    assert 0 not in {label for trial in kept for label in trial.labels}


def test_a_refinement_starts_from_the_point_of_its_own_subject():
    subjects = tuple(replace(stand_in(), point=(float(x), 9.0)) for x in (3, 6, 12))
    for seed in map(str, range(20)):
        trials = trials_for_subjects(subjects, seed=seed)
        (refinement,) = (trial for trial in trials if trial.kind is PromptKind.REFINEMENT)
        source = trials[refinement.mask_from]
        assert source.kind is PromptKind.POINT
        assert source.points == refinement.points == (subjects[refinement.subject].point,)


def test_the_rotation_depends_on_the_photo_alone():
    subjects = (stand_in(),) * 3
    dealt = {
        seed: tuple(trial.subject for trial in trials_for_subjects(subjects, seed=seed)[6:])
        for seed in map(str, range(20))
    }
    again = {
        seed: tuple(t.subject for t in trials_for_subjects(subjects, seed=seed)[6:])
        for seed in dealt
    }
    assert dealt == again
    assert set(dealt.values()) == {(0, 1, 2, 0), (1, 2, 0, 1), (2, 0, 1, 2)}


def stand_in() -> Subject:
    truth = np.zeros((20, 20), bool)
    return Subject(point=(4.0, 5.0), negative=(15.0, 15.0), box=(1.0, 2.0, 8.0, 9.0), truth=truth)


def test_points_of_a_detector_lie_in_its_masks_and_not_in_specks():
    masks = np.zeros((3, HEIGHT, WIDTH), bool)
    masks[0, 10:50, 10:50] = True
    masks[1, 20:110, 60:150] = True
    masks[2, :31, :31] = True
    first, second, both = trials_for_masks(list(masks))
    assert [trial.kind for trial in (first, second)] == [PromptKind.POINT] * 2
    for trial, mask in ((first, masks[1]), (second, masks[0])):
        ((x, y),) = trial.points
        assert mask[int(y), int(x)]
    assert both.labels == (Label.FOREGROUND, Label.BACKGROUND)
    assert trials_for_masks(list(masks[2:])) == ()
