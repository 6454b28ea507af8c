"""`--everything` of verify and evaluate: options, figures, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit import pipeline
from edgekit.pipeline import (
    EvaluateEverythingRequest,
    EverythingEvaluation,
    VerifyEverythingRequest,
)
from edgekit.records import NATIVE, Execution
from edgekit.verification.everything import (
    Everything,
    EverythingVerdict,
    everything_not_run,
    judge_everything,
)
from edgekit.verification.matching import Matching
from edgekit.verification.recall import AverageRecall

GRID = Everything(strategy="grid", grid=16)
TEN_TO_NINE = Matching(photo="a", reference=10, candidate=9, ious=(1.0,) * 5 + (0.8,))


def judged(
    photo: Matching, *, min_matched: float | None = None, execution: Execution = NATIVE
) -> EverythingVerdict:
    return judge_everything([photo], everything=GRID, min_matched=min_matched, execution=execution)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], list[object]]:
    """`answers("verify_everything", verdict)` replaces a function of the pipeline.

    It returns the list of requests to come.
    """

    def answer(function: str, result: object) -> list[object]:
        requests: list[object] = []

        def stand_in(request, *, report):
            requests.append(request)
            return result

        monkeypatch.setattr(pipeline, function, stand_in)
        return requests

    return answer


def test_verify_passes_its_options_to_the_pipeline(run, answers) -> None:
    requests = answers("verify_everything", judged(TEN_TO_NINE))
    run("verify", "b", "--everything")
    options = ("--photos", "p", "--weights", "seeded", "--strategy", "hierarchical", "--grid", "8")
    more = ("--detector", "d", "--min-matched", "0.5")
    run("verify", "b", "--everything", *options, *more)
    assert requests == [
        VerifyEverythingRequest(bundle=Path("b")),
        VerifyEverythingRequest(
            bundle=Path("b"),
            photos=Path("p"),
            weights=("seeded",),
            strategy="hierarchical",
            grid=8,
            detector=Path("d"),
            min_matched=0.5,
        ),
    ]
    run("verify", "b", "--everything", "--proposals", "n")
    assert requests[-1].proposals == Path("n")


@pytest.mark.parametrize(
    ("min_matched", "code", "outcome"),
    [
        (None, 0, "NOT JUDGED (native; no gate: figures only; --min-matched makes one)"),
        (0.5, 0, "PASSED (native; gate: matched share >= 0.5 at IoU 0.9)"),
        (0.9, 1, "FAILED (native; gate: matched share >= 0.9 at IoU 0.9)"),
    ],
)
def test_verify_prints_figures_and_an_outcome(run, answers, min_matched, code, outcome) -> None:
    answers(
        "verify_everything",
        judged(TEN_TO_NINE, min_matched=min_matched),
    )
    result = run("verify", "b", "--everything")
    assert result.exit_code == code
    assert outcome in result.stdout
    assert "10 of the reference, 9 of the bundle (-1)" in result.stdout
    strict = next(line for line in result.stdout.splitlines() if line.startswith("0.9"))
    assert strict.split() == ["0.9", "5", "0.5263", "0.5000", "1.0000"]


def test_two_sides_without_masks_fail(run, answers) -> None:
    nothing = Matching(photo="a", reference=0, candidate=0, ious=())
    answers("verify_everything", judged(nothing))
    result = run("verify", "b", "--everything")
    assert result.exit_code == 1
    assert "FAILED (native; no gate)" in result.stdout
    assert "neither side found a mask" in result.stdout


def test_a_bundle_that_cannot_run_ends_with_3(run, answers) -> None:
    answers(
        "verify_everything",
        everything_not_run("there is no GPU", everything=GRID, min_matched=None),
    )
    result = run("verify", "b", "--everything")
    assert result.exit_code == 3
    assert "NOT RUN" in result.stdout
    assert "there is no GPU" in result.stdout


def test_verify_names_the_stand_in_and_writes_json(run, answers) -> None:
    stand_in = Execution(how="emulated", by="ONNX Runtime 1.24.1", reason="there is no GPU")
    verdict = judged(TEN_TO_NINE, execution=stand_in)
    answers("verify_everything", verdict)
    result = run("verify", "b", "--everything", "--json", "-")
    told = json.loads(result.stdout)
    assert (told["strategy"], told["grid"], told["count_difference"]) == ("grid", 16, -1)
    assert "emulated by ONNX Runtime 1.24.1" in result.stderr


EVALUATION = EverythingEvaluation(
    recall=(
        AverageRecall(size="all", instances=7, recall={10: 0.25, 100: 0.5, 1000: 0.625}),
        AverageRecall(size="small", instances=7, recall={10: 0.25, 100: 0.5, 1000: 0.625}),
    ),
    photos=2,
    masks=63,
    strategy="hierarchical",
    grid=16,
    ran=NATIVE.label,
)


def test_evaluate_prints_the_average_recall(run, answers) -> None:
    requests = answers("evaluate_everything", EVALUATION)
    result = run("evaluate", "b", "a.json", "--everything")
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if line.startswith("all (7)"))
    assert row.split()[2:] == ["0.250", "0.500", "0.625"]
    assert "2 photos with annotations, 31.5 masks each." in result.stdout
    assert requests == [EvaluateEverythingRequest(bundle=Path("b"), annotations=Path("a.json"))]


def test_evaluate_writes_json(run, answers, tmp_path) -> None:
    requests = answers("evaluate_everything", EVALUATION)
    file = tmp_path / "recall.json"
    options = ("--strategy", "boxes", "--detector", "d", "--photos", "p")
    run("evaluate", "b", "a.json", "--everything", *options, "--json", file)
    told = json.loads(file.read_text())
    assert (told["strategy"], told["grid"], told["masks"]) == ("hierarchical", 16, 63)
    assert told["recall"][0]["recall"] == {"10": 0.25, "100": 0.5, "1000": 0.625}
    assert requests == [
        EvaluateEverythingRequest(
            bundle=Path("b"),
            annotations=Path("a.json"),
            photos=Path("p"),
            strategy="boxes",
            detector=Path("d"),
        )
    ]
    run("evaluate", "b", "a.json", "--everything", "--grid", "8")
    assert requests[-1].grid == 8
    assert json.loads(run("evaluate", "b", "a.json", "--everything", "--json", "-").stdout)
    run("evaluate", "b", "a.json", "--everything", "--proposals", "n")
    assert requests[-1].proposals == Path("n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("verify", "b", "--grid", "8"), "--grid says how everything is segmented"),
        (("verify", "b", "--strategy", "grid"), "--strategy says how"),
        (("verify", "b", "--min-matched", "0.9"), "--min-matched is about all masks"),
        (("verify", "b", "--detector", "d"), "--detector says how"),
        (("verify", "b", "--everything", "--min-iou", "0.9"), "--min-iou is about one object"),
        (("verify", "b", "--everything", "--picture", "a.png"), "--picture is about one object"),
        (("evaluate", "b", "a.json", "--json", "no/a.json"), "folder 'no' does not exist"),
        (("evaluate", "b", "a.json", "--grid", "8"), "--grid says how everything is segmented"),
        (
            ("evaluate", "b", "a.json", "--everything", "--card", "c.md"),
            "--card is about one object",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(run, command, said) -> None:
    result = run(*command)
    assert result.exit_code == 2
    assert said in result.stderr
