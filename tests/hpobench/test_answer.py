import pytest
from fake_run import Point, write_cell, write_references, write_run, write_study, write_yardsticks

from hpobench.report.answer import answer
from hpobench.results.run import Results


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
        " next is a, with 0.11 (2 seeds, from 0.1 to 0.12)."
        " 2 seeds are too few to separate searchers; it takes at least 5."
    )


def test_one_seed(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.2], "b": [0.15]}), "digits")
    assert "b ended lowest, with a regret of 0.05 (1 seed)" in found
    assert "One seed is too few" in found


def test_five_seeds_separate_what_does_not_overlap(tmp_path):
    wide = [0.12, 0.14, 0.16, 0.18, 0.2]
    near = [loss + 0.01 for loss in wide]
    far = [loss + 0.1 for loss in wide]
    found = answer(results_of(tmp_path, {"far": far, "low": wide, "near": near}), "digits")
    assert "low ended lowest, with a regret of 0.06 (95 % interval 0.0207 to 0.0993" in found
    assert "overlaps with that of near: 5 seeds do not separate them" in found
    assert "far" not in found


def test_five_seeds_that_separate(tmp_path):
    losses = [0.12, 0.121, 0.122, 0.123, 0.124]
    finals = {"low": losses, "high": [loss + 0.05 for loss in losses]}
    found = answer(results_of(tmp_path, finals), "digits")
    assert found.endswith("Its interval overlaps with no other: 5 seeds separate it from the rest.")


def test_only_a_searcher_with_all_of_its_cells_is_called_lowest(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.2, 0.22], "b": [0.11, None]}), "digits")
    assert found.startswith("On digits, a ended lowest")
    assert found.endswith("b is lower still, but not all of the cells are complete.")


def test_a_beaten_reference_is_said(tmp_path):
    found = answer(results_of(tmp_path, {"a": [0.05], "b": [0.2]}), "digits")
    assert "a regret of −0.05 (1 seed), below the reference" in found
    five = {"a": [0.05, 0.051, 0.049, 0.05, 0.05], "b": [0.2] * 5}
    found = answer(results_of(tmp_path / "five", five), "digits")
    assert "better than the reference" in found  # its interval is below zero


def test_a_regret_within_the_references_error_is_said(tmp_path):
    results_of(tmp_path, {"a": [0.095], "b": [0.2]})
    assert ", below the reference;" in answer(Results.load(tmp_path), "digits")
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
    from hpobench.results.records import write_json

    write_json(study, record)
    assert answer(Results.load(one), "digits") == before
