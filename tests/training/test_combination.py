"""Several artefacts as one graph, and the weights they get."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.contract import MODEL_FILE, Contract
from data.errors import UsageError
from tests.training.small import SMALL, served, windows
from training.artefact import load, run
from training.combination import Member, Weights, combined, joined, require_alike
from training.combine import Combining, combine
from training.export import export
from training.onset import Onsets, distance
from training.stacking import best, loss, stacked

# One member knows both targets; the other one of them, from fewer columns of a shorter past.
FEWER = msgspec.structs.replace(
    SMALL, name="fewer", context=4, features=SMALL.features[:3], targets=SMALL.targets[:1], data_digest="1" * 64
)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    found = []
    for name, contract in (("both", SMALL), ("fewer", FEWER)):
        folder = tmp_path_factory.mktemp("members") / name
        export(served("linear", contract), contract, folder, part_of_window(windows(8), contract))
        found.append(Member(contract, (folder / MODEL_FILE).read_bytes()))
    return found


def part_of_window(asked: NDArray[np.float32], contract: Contract) -> NDArray[np.float32]:
    return np.ascontiguousarray(asked[:, -contract.context :, : len(contract.features)])


def alone(member: Member, asked: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return run(load(member.model, Path("member")), part_of_window(asked, member.contract))


def test_answers_are_averaged_by_target_and_horizon(members: list[Member]) -> None:
    asked = windows(16, seed=4)
    quantile = np.array([[[0.25, 1], [0.5, 1], [1, 1]], [[0.75, 0], [0.5, 0], [0, 0]]], np.float32)
    weights = Weights(quantile, np.array([[0.25, 1], [0.75, 0]], np.float32))
    quantiles, spike = run(load(combined(members, weights, SMALL), Path("combined")), asked)
    (first, first_spike), (second, second_spike) = (alone(member, asked) for member in members)
    share = quantile[1, :, 0][None, :, None]
    np.testing.assert_allclose(quantiles[:, :, 0], (1 - share) * first[:, :, 0] + share * second[:, :, 0], atol=1e-5)
    np.testing.assert_allclose(quantiles[:, :, 1], first[:, :, 1], atol=1e-5)
    np.testing.assert_allclose(spike[:, :, 0], 0.25 * first_spike[:, :, 0] + 0.75 * second_spike[:, :, 0], atol=1e-6)
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    assert (np.diff(spike, axis=1) >= -1e-6).all()


def test_spikes_read_off_the_quantiles_are_those_of_the_arithmetic(members: list[Member]) -> None:
    asked = windows(40, seed=3, holes=0.1)
    onsets = Onsets(
        np.float32([1.5, 0]), np.float32([[-1, 0], [-0.5, 0], [0, 0]]), np.float32([2, 0]), np.array([True, False])
    )
    weights = Weights.equal(members, SMALL)
    quantiles, spike = run(load(combined(members, weights, SMALL, onsets), Path("combined")), asked)
    _, average = run(load(combined(members, weights, SMALL), Path("combined")), asked)
    far = distance(quantiles, asked[:, -1], SMALL)[:, :1]
    assert np.isnan(far).any()
    odds = onsets.constant[None, :, 0] - 1.5 * np.where(np.isnan(far), 2, far)
    np.testing.assert_allclose(spike[:, :, 0], 1 / (1 + np.exp(-odds)), atol=1e-5)
    np.testing.assert_array_equal(spike[:, :, 1], average[:, :, 1])


def test_equal_weights_are_shared_by_those_who_know_a_target(members: list[Member]) -> None:
    weights = Weights.equal(members, SMALL)
    assert weights.quantile[:, 0].tolist() == [[0.5, 1], [0.5, 0]]
    assert weights.spike.tolist() == [[0.5, 1], [0.5, 0]]


def test_shares_are_shared_by_those_who_know_a_target_and_by_the_seeds_of_one_member(members: list[Member]) -> None:
    shares = Combining((Path("a"), Path("b")), seeds=(1, 2), shares=(3, 1)).fit_shares
    assert shares == [3, 0.5, 0.5]
    weights = Weights.shared([*members, members[1]], SMALL, shares)
    assert weights.quantile[:, 0].tolist() == [[0.75, 1], [0.125, 0], [0.125, 0]]
    assert Combining((Path("a"), Path("b")), seeds=(1, 2)).fit_shares == [1, 1, 1]


def test_the_joined_contract_tells_of_all_that_its_members_were_trained_on(members: list[Member]) -> None:
    contract = joined(members, SMALL)
    assert contract.architecture == "combination"
    assert contract.training == SMALL.training
    assert contract.data_digest not in {member.contract.data_digest for member in members}


def test_members_of_another_panel_are_refused(members: list[Member]) -> None:
    other = msgspec.structs.replace(FEWER, horizons=(1, 2))
    with pytest.raises(UsageError, match="fewer: another horizons"):
        require_alike([members[0], Member(other, b"")], SMALL)


def test_a_member_that_is_always_right_gets_most_of_the_weight() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(400, 1, 1)).astype(np.float32)
    levels = (0.1, 0.5, 0.9)
    right = truth[..., None] + np.array([-0.1, 0, 0.1], np.float32)
    wrong = right + random.normal(0, 1, (400, 1, 1, 1)).astype(np.float32)
    start = Weights(np.full((2, 1, 1), 0.5, np.float32), np.full((2, 1), 0.5, np.float32))
    found = stacked(start, [right, wrong], truth, levels)
    assert found.quantile[0, 0, 0] > 0.9
    assert found.quantile.sum() == pytest.approx(1)
    blind = stacked(start, [right, wrong], np.full_like(truth, np.nan), levels)
    assert blind.quantile.tolist() == start.quantile.tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_stacking_does_not_lose_to_equal_weights_where_it_learnt(seed: int, members: int) -> None:
    random, levels = np.random.default_rng(seed), np.array([0.1, 0.5, 0.9])
    came = random.normal(size=200)
    said = (
        came[None, :, None]
        + random.normal(0, random.uniform(0.1, 2, (members, 1, 1)), (members, 200, 1))
        + levels
        - 0.5
    )
    equal = np.full(members, 1 / members)
    weights = best(said, came, levels, equal)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    losses = [loss(np.tensordot(one, said, 1), came, levels) for one in (weights, equal)]
    assert losses[0] <= losses[1] * 1.005


def test_members_of_which_nothing_tells_apart_keep_their_shares() -> None:
    random, levels = np.random.default_rng(0), np.array([0.1, 0.5, 0.9])
    said = np.repeat(random.normal(size=(1, 100, 1)) + levels, 3, axis=0)
    usual = np.array([0.6, 0.3, 0.1])
    np.testing.assert_allclose(best(said, random.normal(size=100), levels, usual), usual, atol=1e-9)


def test_a_combination_is_fitted_from_its_configuration(history: Path, config: Path, tmp_path: Path) -> None:
    (tmp_path / "member.yaml").write_text(config.read_text())
    told = "run:\n  name: pair\n  track: false\ncombination:\n  members: [member.yaml]\n  seeds: [2]\n"
    (tmp_path / "pair.yaml").write_text(told)
    days = ("--data.split.validation_days=2.5", "--data.split.calibration_days=2.5", "--data.split.until=2024-01-10")
    fit, _ = combine(
        ["--config", str(tmp_path / "pair.yaml"), f"--data.history={history}", f"--run.folder={tmp_path}", *days]
    )
    assert fit.metrics["test/congestion/crossing"] == 0
    assert fit.contract.architecture == "combination"
    written = {path.name for path in (tmp_path / "pair" / "artefact").iterdir()}
    assert written == {"model.onnx", "contract.json", "card.md"}
    weights = msgspec.json.decode((tmp_path / "pair" / "weights.json").read_bytes())
    np.testing.assert_allclose(np.sum(weights["quantile"], axis=0), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("members", "seeds", "shares"),
    [
        ((), (), ()),
        ((Path("a"),), (1, 2), ()),
        ((Path("a"),), (0,), ()),
        ((Path("a"),), (), (1, 1)),
        ((Path("a"),), (), (0,)),
    ],
)
def test_contradictory_combinations_are_refused(
    members: tuple[Path, ...], seeds: tuple[int, ...], shares: tuple[float, ...]
) -> None:
    with pytest.raises(UsageError, match="combination"):
        Combining(members, seeds, shares)
