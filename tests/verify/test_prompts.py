"""The prompts of a photo: subjects, kinds and their rotation."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import Label
from edgekit.verification.prompts import (
    PromptKind,
    Subject,
    subjects_of,
    trials_for_masks,
    trials_for_subjects,
)

HEIGHT, WIDTH = 120, 160
PROMPTED = set(PromptKind) - {PromptKind.EVERYTHING}


@pytest.fixture
def subjects_with(photo, rectangle):
    """`subjects_with(*boxes)`: the subjects of a photo with these rectangles annotated."""

    def make(*boxes):
        instances = tuple(rectangle(*box) for box in boxes)
        return subjects_of(photo(instances=instances), height=HEIGHT, width=WIDTH)

    return make


def test_the_point_is_deep_inside_and_the_negative_outside_but_near(subjects_with):
    (subject,) = subjects_with((20, 20, 100, 80))
    x, y = subject.point
    assert 45 <= x <= 75
    assert 45 <= y <= 55
    away_x, away_y = subject.negative
    assert not subject.truth[away_y, away_x]
    assert 0 <= away_x <= 121
    assert 5 <= away_y <= 96
    assert subject.box == (20, 20, 100, 80)


def test_subjects_are_the_largest_median_and_smallest_but_no_specks(subjects_with):
    sides = (100, 90, 80, 60, 40, 31)
    subjects = subjects_with(*((0, 0, side, side) for side in sides))
    assert [subject.box[2] for subject in subjects] == [100, 80, 40]


def test_one_instance_is_one_subject(subjects_with):
    assert len(subjects_with((0, 0, 50, 50))) == 1


def test_a_box_without_a_mask_gets_every_kind_of_prompt(photo, rectangle):
    box = replace(rectangle(20, 20, 100, 80), segmentation=None)
    beyond = replace(rectangle(100, 60, 161, 121), segmentation=None)
    first, second = subjects_of(photo(instances=(box, beyond)), height=HEIGHT, width=WIDTH)
    assert first.truth is second.truth is None
    assert (first.box, second.box) == ((20, 20, 100, 80), (100, 60, 160, 120))
    assert first.point == pytest.approx((60, 50), abs=15)
    away_x, away_y = first.negative
    assert not (20 <= away_x < 100 and 20 <= away_y < 80)
    assert {trial.kind for trial in trials_for_subjects((first,), seed="desk")} == PROMPTED


def test_an_annotation_of_another_size_names_the_photo(photo, rectangle):
    wrong = photo("wrong", (rectangle(0, 0, 50, 50),))
    with pytest.raises(BadInput, match=r"wrong\.png"):
        subjects_of(wrong, height=HEIGHT + 1, width=WIDTH)


def test_specks_alone_give_the_layout(subjects_with):
    assert [subject.truth for subject in subjects_with((0, 0, 31, 31))] == [None, None, None]


def test_object_that_fills_the_photo_has_no_negative(subjects_with):
    subjects = subjects_with((-5, -5, WIDTH + 5, HEIGHT + 5))
    assert subjects[0].negative is None
    kinds = {trial.kind for trial in trials_for_subjects(subjects, seed="a")}
    assert kinds == PROMPTED - {PromptKind.POINT_WITH_NEGATIVE}


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
    trials = trials_for_subjects((any_subject(),) * count, seed="any")
    assert len(trials) == decodes
    kinds = Counter(trial.kind for trial in trials)
    assert set(kinds) == PROMPTED
    assert kinds[PromptKind.POINT] == kinds[PromptKind.BOX] == count


def test_prompt_of_each_kind():
    trials = {trial.kind: trial for trial in trials_for_subjects((any_subject(),), seed="any")}
    subject = any_subject()
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


def test_refused_kinds_are_left_out():
    subjects = (any_subject(),) * 3
    all_trials = trials_for_subjects(subjects, seed="any")
    remaining = trials_for_subjects(subjects, seed="any", refuses=("background_point", "mask"))
    refused = {PromptKind.POINT_WITH_NEGATIVE, PromptKind.REFINEMENT}
    assert remaining == tuple(trial for trial in all_trials if trial.kind not in refused)
    assert not any(trial.mask_from for trial in remaining)
    assert 0 not in {label for trial in remaining for label in trial.labels}


def test_a_refinement_starts_from_the_point_of_its_own_subject():
    subjects = tuple(replace(any_subject(), point=(float(x), 9.0)) for x in (3, 6, 12))
    for seed in map(str, range(20)):
        trials = trials_for_subjects(subjects, seed=seed)
        (refinement,) = (trial for trial in trials if trial.kind is PromptKind.REFINEMENT)
        source = trials[refinement.mask_from]
        assert source.kind is PromptKind.POINT
        assert source.points == refinement.points == (subjects[refinement.subject].point,)


def test_the_rotation_depends_on_the_photo_alone():
    subjects = (any_subject(),) * 3
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


def any_subject() -> Subject:
    truth = np.zeros((20, 20), bool)
    return Subject(point=(4.0, 5.0), negative=(15.0, 15.0), box=(1.0, 2.0, 8.0, 9.0), truth=truth)


def test_points_for_a_detector_lie_in_its_masks_but_not_in_specks():
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
