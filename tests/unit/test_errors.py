import pytest

from core.rules import errors
from core.rules.errors import (
    AlreadyExists,
    Contended,
    FieldViolation,
    IllegalEvent,
    InvalidInput,
    MalformedRequest,
    NotAllowed,
    NotFound,
    Overloaded,
    PaylatchError,
    PermissionDenied,
    Precondition,
    Unauthenticated,
    Unavailable,
)

EVERY_ERROR = [
    InvalidInput([FieldViolation("order_no", "is ''"), FieldViolation("amount_minor", "is 0")]),
    MalformedRequest(),
    Unauthenticated("nothing says who calls"),
    PermissionDenied("spiffe://shop", "a.B/C"),
    NotFound("there is none", reason="ORDER_NOT_FOUND"),
    AlreadyExists("it is there", reason="ORDER_DIFFERS", metadata={"fields": "amount_minor"}),
    NotAllowed("not now", reason="CLAIMED", violations=[Precondition("LEASE", "alipay/P-1", "is held")]),
    IllegalEvent("order.order_status", "PAID", "cancel", ["process"]),
    Contended(),
    Overloaded("too much", reason="QUEUE_FULL"),
    Unavailable("it is away", reason="DATABASE_UNAVAILABLE"),
]


def test_every_error_of_the_tree_is_here() -> None:
    named = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PaylatchError)}

    assert {type(error) for error in EVERY_ERROR} == named - {PaylatchError}


def test_the_tree_drawn_in_the_docstring_names_every_error() -> None:
    for error in EVERY_ERROR:
        assert f"── {type(error).__name__} " in str(errors.__doc__)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_every_error_has_a_stable_reason_and_words(error: PaylatchError) -> None:
    assert error.reason == error.reason.upper()
    assert error.reason.replace("_", "").isalpha()
    assert str(error) == error.message != ""


def test_an_invalid_input_tells_every_field_in_its_words() -> None:
    assert str(EVERY_ERROR[0]) == "order_no: is ''; amount_minor: is 0"


def test_an_illegal_event_is_a_precondition_that_is_not_met() -> None:
    error = IllegalEvent("order.order_status", "PAID", "cancel", ["process"])

    assert isinstance(error, NotAllowed)
    assert error.violations == (Precondition("LIFE_CYCLE", "order.order_status", error.message),)
    assert error.metadata == {"current_status": "PAID", "event": "cancel", "legal_events": "process"}


def test_what_an_error_is_made_of_can_not_change_it_later() -> None:
    metadata, violations = {"key": "value"}, [Precondition("a", "b", "c")]
    error = NotAllowed("no", reason="NO", violations=violations, metadata=metadata)
    metadata["key"] = "other"
    violations.clear()

    assert error.metadata == {"key": "value"}
    assert len(error.violations) == 1
