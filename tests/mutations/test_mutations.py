"""The ways to break the product still apply to it, and the simulation catches those that matter most."""

import pytest

from tests.mutations.__main__ import ROOT, try_one
from tests.mutations.mutations import MUTATIONS, Mutation

FIRST_OF_ALL = (
    "drop the token check",
    "acknowledge before the order commits",
    "make the three writes two transactions",
    "forget the unique key",
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_finds_what_it_breaks(mutation: Mutation) -> None:
    for edit in mutation.edits:
        assert edit.old in (ROOT / edit.file).read_text(), edit.old


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FIRST_OF_ALL)
def test_the_simulation_catches(name: str) -> None:
    (mutation,) = [mutation for mutation in MUTATIONS if mutation.name == name]
    verdict = try_one(mutation)

    assert verdict.is_caught, verdict.told
