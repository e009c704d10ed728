from cli.demo.board import Board, Counts
from cli.demo.orders import DemoOrder

ORDERS = [DemoOrder(f"A-{number}", 100, 1) for number in range(1, 6)]


def settled_board() -> Board:
    board = Board()
    for order in ORDERS:
        board.create(order)
        board.settle(order)
    return board


def test_it_counts_what_was_tried_settled_paid_and_still_waits() -> None:
    board = settled_board()
    board.refuse(DemoOrder("A-0", 0, 1), "amount_minor: is 0")
    board.look(["A-1", "A-2", "A-3"], notified={"A-1", "A-2"}, paid={"A-1"})
    assert board.counts == Counts(tried=6, settled=5, paid=1, waiting=3)
    assert board.waiting == {"A-3", "A-4", "A-5"}


def test_settling_tells_the_how_many_th_it_was() -> None:
    board = Board()
    assert [board.settle(order) for order in ORDERS] == [1, 2, 3, 4, 5]


def test_what_was_looked_at_in_vain_comes_last_the_next_time() -> None:
    board = settled_board()
    board.look(board.longest_waiting(2), notified=set(), paid=set())
    assert board.longest_waiting(10) == ["A-3", "A-4", "A-5", "A-1", "A-2"]


def test_refused_orders_are_listed_by_their_number() -> None:
    board = Board()
    for number in (3, 1, 2):
        board.refuse(DemoOrder(f"A-{number}", 0, 1), "no")
    assert [one.order.order_no for one in board.refused] == ["A-1", "A-2", "A-3"]
