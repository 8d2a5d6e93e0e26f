"""Where the past has moved: bisection of balances finds it in few questions, whatever has changed and is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import accumulate
from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.reconcile.drift import Balances, has_moved, left_behind, next_probes

OLD = datetime(2025, 1, 1, tzinfo=timezone.utc)
NEW = OLD + timedelta(days=1)
CURRENCIES = ("eur", "usd")
cents = st.integers(-500, 500).map(lambda number: Decimal(number) / 100)
Movements = Mapping[str, Sequence[Decimal]]


def balances(movements: Movements, age: datetime) -> list[Balances]:
    """The cells of a history, as Stripe says them at some time."""
    ends = {currency: list(accumulate(amounts, initial=Decimal(7))) for currency, amounts in movements.items()}
    cells = len(next(iter(movements.values())))
    return [
        Balances(
            str(place),
            {currency: end[place] for currency, end in ends.items()},
            {currency: end[place + 1] for currency, end in ends.items()},
            age,
        )
        for place in range(cells)
    ]


@dataclass
class Stripe:
    """Says the present balances; remembers what was asked."""

    present: Sequence[Balances]
    stored: list[Balances]
    asked: list[str]

    def heal(self, fresh: set[str]) -> set[str]:
        """Ask until nothing more is to be asked; gives the keys of all cells that are as of now."""
        while probes := next_probes(self.stored, fresh, self.asked):
            assert len(set(probes)) == len(probes)
            assert not fresh & set(probes)
            for key in probes:
                self.stored[int(key)] = self.present[int(key)]
            self.asked += probes
            fresh |= set(probes)
        return fresh


def changed(movements: Movements, changes: Mapping[int, tuple[str, Decimal]]) -> Movements:
    found = {currency: list(amounts) for currency, amounts in movements.items()}
    for place, (currency, amount) in changes.items():
        found[currency][place] += amount
    return found


histories = st.integers(1, 110).flatmap(
    lambda cells: st.fixed_dictionaries(
        {currency: st.lists(cents, min_size=cells, max_size=cells) for currency in CURRENCIES}
    )
)


@given(histories, st.data())
def test_what_has_changed_is_found_in_some_log2_questions_each(movements: Movements, data: st.DataObject) -> None:
    cells = len(movements["eur"])
    amounts = cents.filter(lambda amount: amount > 0)  # all in one direction: what cancels is not to be seen
    places = data.draw(st.sets(st.integers(0, cells - 1), max_size=4))
    changes = {place: (data.draw(st.sampled_from(CURRENCIES)), data.draw(amounts)) for place in places}
    stripe = Stripe(balances(changed(movements, changes), NEW), balances(movements, OLD), [])
    stripe.stored[-1] = stripe.present[-1]  # as a sync has loaded it
    fresh = stripe.heal({str(cells - 1)})
    assert {str(place) for place in changes} <= fresh
    assert len(stripe.asked) <= len(places - {cells - 1}) * ceil(log2(cells + 1))


@given(histories, st.data())
def test_between_cells_that_are_as_of_now_nothing_is_left_that_shows(movements: Movements, data: st.DataObject) -> None:
    """Whatever is stored from earlier times, and also where changes cancel: the net of what is left is 0."""
    cells = len(movements["eur"])
    changes = {
        place: (data.draw(st.sampled_from(CURRENCIES)), data.draw(cents))
        for place in data.draw(st.sets(st.integers(0, cells - 1), max_size=5))
    }
    stripe = Stripe(balances(changed(movements, changes), NEW), balances(movements, OLD), [])
    for place in data.draw(st.sets(st.integers(0, cells - 1))):
        stripe.stored[place] = stripe.present[place]
    fresh = sorted(map(int, stripe.heal(set())))
    assert fresh[-1] == cells - 1
    for currency in CURRENCIES:
        for first, after in zip([-1, *fresh], fresh, strict=False):
            inner = stripe.stored[first + 1 : after]
            moved = sum((cell.closing[currency] - cell.opening[currency] for cell in inner), Decimal(0))
            begun = stripe.stored[0].opening if first < 0 else stripe.stored[first].closing
            assert begun[currency] + moved == stripe.stored[after].opening[currency]


@given(histories)
def test_where_nothing_has_changed_the_last_cell_alone_is_asked_for(movements: Movements) -> None:
    stripe = Stripe(balances(movements, NEW), balances(movements, OLD), [])
    assert not has_moved(stripe.stored)
    stripe.heal(set())
    assert stripe.asked == [str(len(stripe.present) - 1)]


def test_a_cell_that_cannot_be_loaded_is_asked_for_once() -> None:
    movements = {"usd": [Decimal(1)] * 16}
    stored = balances(movements, OLD)
    present = balances(changed(movements, {4: ("usd", Decimal(2))}), NEW)
    stored[-1] = present[-1]
    tried: list[str] = []
    while probes := next_probes(stored, {"15"}, tried):
        tried += probes
    assert sorted(map(int, tried)) == list(range(15))
    assert next_probes([], set(), set()) == []


def test_cells_left_behind_between_newer_ones_are_known_by_the_amount_they_are_off() -> None:
    movements = {"usd": [Decimal(1)] * 8, "eur": [Decimal(2)] * 8}
    present = balances(changed(movements, {2: ("usd", Decimal(3))}), NEW)
    stored = balances(movements, OLD)
    stored[-1] = present[-1]
    assert has_moved(stored)
    assert left_behind(stored) == []
    stored[2] = present[2]
    assert left_behind(stored) == [("usd", 3, 7)]
    assert not has_moved(stored)
    stored[5] = present[5]
    assert left_behind(stored) == [("usd", 3, 5), ("usd", 6, 7)]
    assert not has_moved(stored)


def test_cells_of_the_same_or_an_unknown_age_are_not_said_to_be_left_behind() -> None:
    movements = {"usd": [Decimal(1)] * 5}
    stored = balances(movements, OLD)
    newer = balances(changed(movements, {0: ("usd", Decimal(3))}), NEW)
    for age in (OLD, None):
        mixed = [newer[0], stored[1], replace(stored[2], age=age), stored[3], replace(newer[4], age=age or NEW)]
        assert has_moved(mixed)
        assert left_behind(mixed) == []
    by_hand = [stored[0], newer[1], *stored[2:]]  # one cell alone from newer data: the others are older, and off
    assert has_moved(by_hand)
