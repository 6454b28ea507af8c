"""PTQ4SAM's two techniques against upstream's numbers: signs of bimodal keys, codes of softmaxes.

The oracle is in ../shared/oracles/techniques; its inputs come from synthetic.py (NumPy only).
"""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the techniques are of PyTorch (extra `export`)")
pytest.importorskip("scipy", reason="the techniques need the extra `techniques`")

from edgekit.models.sam.transformer import Attention  # noqa: E402
from edgekit.models.seeded import seeded_tensor  # noqa: E402
from edgekit.precision.apply.coded_walk import rounded_to_code  # noqa: E402
from edgekit.precision.decide.codes import activation_code  # noqa: E402
from edgekit.precision.measure.ranges import Range  # noqa: E402
from edgekit.precision.techniques.bimodal import (  # noqa: E402
    channel_signs,
    density,
    fold_signs,
    is_bimodal,
    peaks,
)
from edgekit.precision.techniques.softmax_codes import (  # noqa: E402
    TAUS,
    SoftmaxCode,
    best_code,
    fit,
)
from edgekit.records import Int8Recipe  # noqa: E402
from tests.parity.oracles import SHARED, sampled  # noqa: E402

FACTS = SHARED / "techniques" / "ptq4sam.json"

pytestmark = pytest.mark.skipif(not FACTS.is_file(), reason=f"no {FACTS}")

BITS = (4, 6, 8)


@pytest.fixture(scope="module")
def facts() -> dict:
    return json.loads(FACTS.read_text())["results"]


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(FACTS.with_suffix(".npz"), allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def inputs() -> dict[str, torch.Tensor]:
    spec = importlib.util.spec_from_file_location("synthetic", SHARED / "synthetic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: torch.from_numpy(a) for name, a in module.ptq_inputs(0).items()}


# --- codes of softmax outputs --------------------------------------------------------------------


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("tau", TAUS)
def test_codes_of_a_given_scale_are_upstreams(facts, arrays, inputs, bits: int, tau: int) -> None:
    rounded = SoftmaxCode(tau=tau, scale=0.75, bits=bits).rounded(inputs["attention"])
    tag = f"agq{bits}.tau{tau}"
    known = facts[f"agq{bits}"]["fixed_scale_0.75"][f"tau{tau}"]
    theirs = arrays[f"{tag}.sample"]
    gaps = np.abs(sampled(rounded.numpy(), tag) - theirs) > 1e-5 * theirs.max()
    assert gaps.sum() <= known["codes_that_differ_in_float64"]
    assert int((rounded == 0).sum()) == known["zeroed"]
    assert len(rounded.unique()) == known["distinct"]


@pytest.mark.parametrize("bits", BITS)
def test_searched_codes_are_as_good_as_upstreams(facts, inputs, bits: int) -> None:
    """Of several minima another may be found; upstream's own tolerance is 2 % of the error."""
    fits = {t: fit(inputs["attention"], inputs["value"], tau=t, bits=bits) for t in TAUS}
    known = facts[f"agq{bits}"]
    for tau, error in zip(TAUS, known["errors"], strict=True):
        assert fits[tau].error <= 1.02 * error
    assert best_code({tau: [each] for tau, each in fits.items()}).tau == known["chosen_tau"]


# --- signs of bimodal keys -----------------------------------------------------------------------

KEYS = ("key_bimodal", "key_unimodal")


@pytest.mark.parametrize("name", KEYS)
def test_peaks_are_upstreams(facts, arrays, inputs, name: str) -> None:
    ours, known = density(inputs[name][0]), facts[f"big.{name}"]
    np.testing.assert_allclose(ours, arrays[f"big.{name}.density"], rtol=1e-4, atol=1e-7)
    assert peaks(ours) == tuple(known["peaks"])
    assert is_bimodal(inputs[name][0]) is known["is_bimodal"]


@pytest.mark.parametrize("name", KEYS)
def test_an_8_bit_code_gains_by_the_signs_what_it_gains_upstream(
    facts, arrays, inputs, name: str
) -> None:
    keys, known = inputs[name][0], facts[f"big.{name}"]["bits8"]
    signs = channel_signs(keys) if is_bimodal(keys) else torch.ones(keys.shape[1])
    np.testing.assert_array_equal(signs.numpy(), arrays[f"big.{name}.sign"])
    for moment, values in (("before", keys), ("after", keys * signs)):
        error = (rounded_to_code(values, _code(values)) - values).square().mean()
        assert float(error) == pytest.approx(known[f"{moment}_minmax"]["mse"], rel=1e-4)


def _code(values: torch.Tensor):
    low, high = float(values.min()), float(values.max())
    span = Range(low=low, high=high, usual_low=low, usual_high=high, mean=0.0, std=1.0)
    return activation_code(span, Int8Recipe(activations="uint8"), name="keys")


def test_folded_projections_give_upstreams_keys_and_scores(arrays, inputs) -> None:
    attention = Attention(128, heads=1)
    with torch.no_grad():
        for name in ("q_proj", "k_proj"):
            layer = getattr(attention, name)
            for kind, tensor in (("weight", layer.weight), ("bias", layer.bias)):
                seeded = seeded_tensor(f"ptq.{name}.{kind}", tuple(tensor.shape), 0)
                tensor.copy_(torch.from_numpy(seeded))
    fold_signs(attention, torch.from_numpy(arrays["big.key_bimodal.sign"]).float())
    with torch.no_grad():
        keys = attention.k_proj(inputs["tokens"])
        scores = attention.q_proj(inputs["tokens"]) @ keys.transpose(-2, -1)
    for tag, ours in (("big.folded.key", keys), ("big.folded.scores", scores)):
        theirs = arrays[f"{tag}.sample"]
        gap = np.abs(sampled(ours.numpy(), tag) - theirs).max() / np.abs(theirs).max()
        assert gap <= 1e-5
