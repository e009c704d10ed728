import tests.faults.points  # noqa: F401  # registers every point
from tests.faults.catalogue import ROWS, SERVERS, points


def test_every_fault_of_the_catalogue_is_made_to_happen_and_nothing_else() -> None:
    wanted = [(row.step, fault) for row in ROWS for fault in row.faults]
    assert sorted(points()) == sorted(set(wanted))
    assert len(wanted) == len(set(wanted))


def test_a_fault_is_left_out_on_a_backend_only_where_it_cannot_happen() -> None:
    """SQLite has no server to restart or connect to, and one writer at a time; its only clock is the machine's."""
    every = [(point, name) for point in points().values() for name in SERVERS]
    left_out = {f"{point.name} on {name}" for point, name in every if name not in point.backends}
    assert left_out == {
        "claim: a lower id that commits later on sqlite",
        "clock: a worker's 1 h fast on sqlite",
        "clock: a worker's 1 h slow on sqlite",
        "databases: restart every few seconds under load on sqlite",
        "report result: database restarted in the transaction on sqlite",
        "report result: deadlock on sqlite",
        "report result: serialization failure on sqlite",
    }


def test_the_short_version_has_a_point_of_nearly_every_step() -> None:
    steps = {point.step for point in points().values() if point.is_quick}
    assert {row.step for row in ROWS} - steps == {"create ×2", "clock", "purge", "databases", "everything"}
