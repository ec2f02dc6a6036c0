import re

import pytest

from hpobench.report import conclusions
from hpobench.results.run import Results
from tests.hpobench.fake_replay import write_replay
from tests.hpobench.fake_run import (
    Point,
    write_cell,
    write_references,
    write_run,
    write_study,
    write_yardsticks,
)


def answer(results, task):
    """All that is said of a task."""
    found = conclusions.answer(results, task)
    return " ".join([found.headline, found.sure, *found.details]).replace("  ", " ")


def results_of(folder, finals, **study):
    """A run whose cells end at these test losses; the reference is at 0.1, the default at 0.3."""
    seeds = range(max(map(len, finals.values())))
    write_study(folder, searchers=tuple(finals), seeds=tuple(seeds), **study)
    for seed in seeds:
        write_yardsticks(folder, "digits", seed)
    for searcher, losses in finals.items():
        for seed, loss in enumerate(losses):
            if loss is not None:
                write_cell(folder, "digits", searcher, seed, [Point(1.0, loss, loss)])
    return Results.load(folder)


def test_few_seeds_separate_nobody(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.2, 0.22], "b": [0.15, 0.13]}), "digits")
    assert found == (
        "On digits, b ended lowest, with a regret of 0.04 (2 seeds, from 0.03 to 0.05);"
        " 0.07 below the next, a; its mean over seeds is the lowest from 1 s on."
        " 2 seeds are too few to separate searchers; it takes at least 5."
        " Next is a, with 0.11 (2 seeds, from 0.1 to 0.12)."
    )


def test_one_seed(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.2], "b": [0.15]}), "digits")
    assert "b ended lowest, with a regret of 0.05 (1 seed)" in found
    assert "One seed is too few" in found


def test_five_seeds_separate_what_is_far(tmp_path):
    wide = [0.12, 0.14, 0.16, 0.18, 0.2]
    shifts = (0.03, -0.02, 0.03, -0.01, 0.01)
    near = [loss + shift for loss, shift in zip(wide, shifts, strict=True)]
    far = [loss + 0.1 + 0.001 * seed for seed, loss in enumerate(wide)]
    found = answer(results_of(tmp_path, {"far": far, "low": wide, "near": near}), "digits")
    assert "low ended lowest, with a regret of 0.06 (95 % interval 0.0207 to 0.0993" in found
    assert "with Holm's correction for 3 pairs, it is lower than far (p < 0.001), and not" in found
    assert "not separated from near (p = " in found
    assert re.search(
        r"Some \d+ more seeds would separate it from near with a power of 80 % if the difference"
        r" seen is the true one; as it may be larger or smaller, \d+ to more than 1000\.",
        found,
    )


def test_five_seeds_that_separate(tmp_path):
    """Pairs tell what the seeds' own spread would hide."""
    losses = [0.12, 0.14, 0.16, 0.18, 0.2]
    finals = {"low": losses, "high": [loss + 0.01 + 1e-4 * n for n, loss in enumerate(losses)]}
    found = answer(results_of(tmp_path, finals), "digits")
    assert "Seed by seed, it is lower than high (p < 0.001)." in found


def test_equals_are_not_separated_by_any_number_of_seeds(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.2] * 5, "b": [0.2] * 5}), "digits")
    assert (
        "not separated from b (p = 1). If the difference seen is the true one, more than" in found
    )


def test_how_many_times_sooner(tmp_path):
    """Planted: twice to eight times as soon, by seed; one never came there."""
    write_study(tmp_path, searchers=("fast", "slow", "never"), seeds=range(8))
    for seed in range(8):
        write_yardsticks(tmp_path, "digits", seed)
        times = {"fast": 2.0, "slow": 2.0 * (2, 3, 4, 4, 4, 4, 6, 8)[seed], "never": None}
        for searcher, time in times.items():
            points = [Point(1.0, 0.25, 0.25)]
            points += [] if time is None else [Point(time, 0.101, 0.101 - 1e-4 * seed)]
            write_cell(tmp_path, "digits", searcher, seed, points)
    found = answer(Results.load(tmp_path), "digits")
    assert (
        "To 1 % of the default's regret it came sooner by these factors of seconds (95 %" in found
    )
    sooner = re.search(r": ([\d.]+) \[([\d.]+) to ([\d.]+)\] than slow, (.*?)\.", found)
    estimate, low, high = (float(sooner[place]) for place in (1, 2, 3))
    assert estimate == pytest.approx(4, rel=0.05)
    assert 2 < low < 4 < high < 8
    assert sooner[4] == "at least 30 [30 to ∞] than never"  # the budget is 60 s


def test_replays_have_the_last_word(tmp_path):
    """The longer its name, the higher its replayed loss."""
    results_of(tmp_path, {"longer": [0.11, 0.11], "long": [0.12, 0.12]})
    said = answer(write_replay(tmp_path), "digits")
    assert said.startswith("On digits, longer ended lowest")
    again = (
        "Trained again on 2 fresh draws, long is lowest, with a replay regret of 0.06050 ± 0.00050"
    )
    assert f"{again}; longer comes to 0.08050 ± 0.00050. 2 seeds are too few" in said
    results_of(tmp_path / "same", {"a": [0.11, 0.11], "long": [0.12, 0.12]})
    said = answer(write_replay(tmp_path / "same"), "digits")
    assert "Trained again on 2 fresh draws, a is lowest, with a replay regret of 0.03050" in said
    assert "0.00050. 2 seeds" in said


def test_only_a_searcher_with_all_of_its_cells_is_called_lowest(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.2, 0.22], "b": [0.11, None]}), "digits")
    assert found.startswith("On digits, a ended lowest")
    assert found.endswith("b is lower still on the seeds that are complete, but not all are.")


def test_a_beaten_reference_is_said(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.05], "b": [0.2]}), "digits")
    assert "a regret of −0.05 (1 seed), on the one seed below the searched reference" in found
    five = {"a": [0.05, 0.051, 0.049, 0.05, 0.05], "b": [0.2] * 5}
    found = answer(results_of(tmp_path / "five", five), "digits")
    assert (
        "below the searched reference; 0.15 (95 % interval 0.149 to 0.151) below the next, b"
        in found
    )
    assert "is below the reference, but does not know that it was picked as the lowest." in found


@pytest.mark.parametrize(
    ("regrets", "words"),
    [
        ([-0.03], "on the one seed below the"),
        ([-0.03, -0.05], "on each of them below the"),
        ([-0.05, 0.01], "in the mean, not on each, below the"),
        ([-0.05, 0.02, -0.04, 0.03, -0.06], "in the mean, not for certain, below the"),
        ([-0.05, -0.051, -0.049, -0.05, -0.05], ", below the"),
    ],
)
def test_how_sure_it_is_to_be_below_the_reference(tmp_path, regrets, words):
    losses = [0.1 + regret for regret in regrets]
    found = answer(results_of(tmp_path, {"a": losses, "b": [0.3] * len(losses)}), "digits")
    assert f"{words} searched reference; " in found


def test_since_when_it_is_lowest_and_whether_that_is_sure(tmp_path):
    """The lead changes at 10 s; what is ahead in between counts for nothing."""
    write_study(tmp_path, searchers=("late", "early", "far"), seeds=range(5))
    for seed in range(5):
        write_yardsticks(tmp_path, "digits", seed)
        small = 1e-3 * seed
        late = [Point(2.0, 0.25, 0.25), Point(10.0, 0.12, 0.12 + small)]
        early = [Point(1.0, 0.26, 0.26), Point(5.0, 0.13, 0.13 + small)]
        for searcher, points in (("late", late), ("early", early), ("far", [Point(3.0, 0.2, 0.2)])):
            write_cell(tmp_path, "digits", searcher, seed, points)
    found = conclusions.answer(Results.load(tmp_path), "digits")
    assert found.headline.endswith("its mean over seeds is the lowest from 10 s on.")
    assert "0.01 (95 % interval 0.01 to 0.01) below the next, early;" in found.headline
    assert found.sure == "Seed by seed it is separated from all 2 others at the 5 % level."
    steps = conclusions.answer(Results.load(tmp_path), "digits", "slot_seconds")
    assert steps.headline.endswith("from 10 slot-s on.")


def test_a_lead_does_not_begin_before_something_was_trained(tmp_path):
    """From 1 s on only the other's first training is worse than the default, which both held."""
    write_study(tmp_path, searchers=("late", "worse"), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    write_cell(tmp_path, "digits", "late", 0, [Point(5.0, 0.12, 0.12)])
    write_cell(tmp_path, "digits", "worse", 0, [Point(1.0, 0.4, 0.4)])
    found = conclusions.answer(Results.load(tmp_path), "digits")
    assert found.headline.endswith("it is the lowest from 5 s on.")


def test_equal_ends_have_no_lead(tmp_path):
    found = conclusions.answer(results_of(tmp_path, {"a": [0.2, 0.2], "b": [0.2, 0.2]}), "digits")
    assert found.headline.startswith("On digits, a and b ended lowest, with a regret of 0.1 (2")
    assert found.headline.endswith(", and level with each other.")
    assert found.details == ()
    three = {"a": [0.2, 0.2], "b": [0.2, 0.2], "c": [0.25, 0.25]}
    found = conclusions.answer(results_of(tmp_path / "three", three), "digits")
    assert found.details == ("Next is c, with 0.15 (2 seeds, from 0.15 to 0.15).",)


def test_a_regret_within_the_references_error_is_said(tmp_path):
    results_of(tmp_path, {"a": [0.095], "b": [0.2]})
    assert ", on the one seed below the searched reference;" in answer(
        Results.load(tmp_path), "digits"
    )
    (tmp_path / "yardsticks.jsonl").unlink()
    write_yardsticks(tmp_path, "digits", 0, (0.09, 0.11))
    found = answer(Results.load(tmp_path), "digits")
    assert "a regret of −0.005 (1 seed), within the reference's standard error;" in found


def test_without_a_reference(tmp_path):
    results_of(tmp_path, {"a": [0.05], "b": [0.2]})
    write_references(tmp_path, ["digits"], without=["digits"])
    found = answer(Results.load(tmp_path), "digits")
    assert found.startswith("digits has no reference, so no regret; a ended with the lowest test")


def test_a_searcher_that_trained_nothing_in_full_is_said_and_never_lowest(tmp_path):
    """Its regret is the default's; here the only other is worse."""
    results_of(tmp_path, {"a": [0.4], "idle": [None]})
    write_cell(tmp_path, "digits", "idle", 0, [Point(1.0, 0.2, 0.2, full=False)])
    found = answer(Results.load(tmp_path), "digits")
    assert found.startswith("On digits, a ended lowest, with a regret of 0.3")
    assert found.endswith("idle, with 0.2, stands at the default: nothing trained in full.")


def test_nobody_beyond_the_default_is_lowest(tmp_path):
    results_of(tmp_path, {"idle": [None]})
    write_cell(tmp_path, "digits", "idle", 0)
    found = answer(Results.load(tmp_path), "digits")
    assert found.startswith("On digits, no searcher got beyond the default, so none is called")
    assert found.endswith("idle, with 0.2, stands at the default: nothing trained in full.")


def test_nothing_complete(tmp_path):
    found = answer(Results.load(write_study(tmp_path)), "digits")
    assert "none is called lowest" in found


@pytest.mark.parametrize("seeds", [1, 2, 6])
def test_the_answer_does_not_depend_on_the_order_of_searchers(tmp_path, seeds):
    one = write_run(tmp_path / "a", searchers=("fds", "random"), seeds=range(seeds))
    study = one / "study.json"
    before = answer(Results.load(one), "digits")
    record = Results.load(one).study
    record["searchers"].reverse()
    from hpobench.results.json_files import write_json

    write_json(study, record)
    assert answer(Results.load(one), "digits") == before
