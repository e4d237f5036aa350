from mutants import ROOT, mutants


def test_each_mutant_has_a_place_in_the_code_and_tests() -> None:
    for mutant in mutants():
        path, _, name = mutant.tests.partition("::")
        assert mutant.places() == 1, f"{mutant.name}: the code has changed: change tests/mutants.toml, too"
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), mutant.name
