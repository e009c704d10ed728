import pytest
from hypothesis import HealthCheck, settings

QUICK = {"sqlite": 40, "postgresql": 10, "mysql": 10}
"""Examples of a quick run, by backend."""

THOROUGH = {"sqlite": 150, "postgresql": 40, "mysql": 40}
"""Of a thorough one: what a database server decides otherwise needs fewer examples than what the model decides."""


@pytest.fixture(
    params=[
        pytest.param("quick", marks=pytest.mark.timeout(300)),
        pytest.param("thorough", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ]
)
def plan(request: pytest.FixtureRequest) -> settings:
    """The same few examples at each quick run, many new ones at each thorough one."""
    quick = request.param == "quick"
    return settings(
        max_examples=(QUICK if quick else THOROUGH)[request.node.callspec.params["backend"]],
        stateful_step_count=30,
        derandomize=quick,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
