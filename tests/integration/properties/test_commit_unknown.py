"""A COMMIT that raised is read again, and never reported as "not done" (SPEC 4): every RPC that writes, both ways."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import grpc
import pytest
from google.protobuf.message import Message

from core.rpc.status import reason_of
from core.store.database import MAX_TRIES, Database
from tests.integration.order_server.order_side import StartOrderSide
from tests.integration.payment_server.payment_side import StartPaymentSide
from tests.integration.properties.writes import Rows, order_calls, payment_calls
from tests.support.commits import DURABLE, LOST, Commit, commits
from tests.support.rpcs import Rpc, rpcs_of

HANDLERS = "rpc"
"""How the names of the threads begin that serve calls."""

MANY = 20
"""More commits than any call makes."""


@dataclass
class Writing:
    """A server whose every writing RPC can be called on keys of its own, with commits that go as told."""

    database: Database
    rpcs: Mapping[str, Rpc]
    calls: Mapping[str, Callable[[str], Message]]
    rows: Rows = field(init=False)
    tags: Iterator[str] = field(default_factory=lambda: (f"tag{number:04}." for number in itertools.count()))

    def __post_init__(self) -> None:
        self.rows = Rows(self.database)

    def prepare(self, name: str) -> "Prepared":
        """All that the call of this name needs, on new keys."""
        tag = next(self.tags)
        return Prepared(self, self.rpcs[name.split(maxsplit=1)[0]], self.calls[name](tag), tag)


@dataclass
class Prepared:
    """A call that can be made, and made again."""

    writing: Writing
    rpc: Rpc
    request: Message
    tag: str

    def call(self, ways: Sequence[Commit] = ()) -> str:
        """The answer, or the reason of the refusal; a star stands for the tag."""
        with commits(self.writing.database, ways, threads=HANDLERS) as coming:
            try:
                answer = str(self.rpc.answer(self.request.SerializeToString()))
            except grpc.RpcError as error:
                answer = reason_of(error)
            self.commits_made = len(ways) - len(coming)
        return answer.replace(self.tag, "*")

    def found(self) -> list[str]:
        """What is there of its keys."""
        return self.writing.rows.having(self.tag)


@pytest.fixture(params=["order", "payment"])
def writing(
    request: pytest.FixtureRequest, start_order_side: StartOrderSide, start_payment_side: StartPaymentSide
) -> Writing:
    """Each of the two servers."""
    if request.param == "order":
        order_side = start_order_side()
        return Writing(order_side.database, _writing(order_side.channel), order_calls(order_side))
    payment_side = start_payment_side()
    return Writing(payment_side.held, _writing(payment_side.channel), payment_calls(payment_side))


def _writing(channel: grpc.Channel) -> Mapping[str, Rpc]:
    ours = [rpc for rpc in rpcs_of(channel) if rpc.path.startswith("/paylatch.")]
    return {rpc.method.name: rpc for rpc in ours if not rpc.only_reads}


@pytest.mark.any_backend
def test_every_rpc_that_writes_is_tested_here(writing: Writing) -> None:
    assert {name.split()[0] for name in writing.calls} == {*writing.rpcs}


@pytest.mark.parametrize("way", [LOST, DURABLE], ids=lambda way: way.name)
def test_a_commit_that_raises_is_read_again_and_the_answer_is_as_ever(writing: Writing, way: Commit) -> None:
    for name in writing.calls:
        usual = writing.prepare(name)
        before = usual.found()
        answer = usual.call([Commit.WORKS] * MANY)
        expected = usual.found()
        assert expected != before, f"{name} changes nothing"

        for place in range(usual.commits_made):
            call = writing.prepare(name)

            assert _but_for_repeats(call.call([Commit.WORKS] * place + [way])) == _but_for_repeats(answer), name
            assert call.found() == expected, f"{name}, commit {place + 1}"


@pytest.mark.parametrize("way", [LOST, DURABLE], ids=lambda way: way.name)
def test_a_result_that_stays_unknown_is_told_as_unknown_and_the_same_call_decides_it(
    writing: Writing, way: Commit
) -> None:
    for name in writing.calls:
        usual = writing.prepare(name)
        usual.call()
        expected = usual.found()

        call = writing.prepare(name)
        told = call.call([way] * MAX_TRIES)
        assert "RESULT_UNKNOWN" in told, name
        assert "response {" not in told, name
        call.call()
        assert call.found() == expected, name


def _but_for_repeats(answer: str) -> str:
    """A run that finds its own notification there cannot know it from an earlier call's."""
    return re.sub(r" *is_repeated: true\n", "", answer)
