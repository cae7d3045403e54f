"""What relay, ingest and projectors say of themselves at their own address is what they did, and what is left."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from ledger.acts import catalogue
from ledger.errors import FormatError, Unavailable
from ledger.gateway.figures import BOUNDS, Listener, of_ingest, of_projector, of_relay, text
from ledger.kafka.pulse import Pulse
from ledger.kafka.topics import CHECKPOINTS, ENTRIES
from projections.shared import Shared
from projections.workers import Tally, work
from tests.gateway.asking import asked, process
from tests.town import DE_PROSECUTOR, found
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client.core import Metric

    from ledger.gateway.figures import Read
    from ledger.sequencer import Answer
    from ledger.statement import Signed
    from ledger.store import Store
    from tests.cluster import Cluster
    from tests.kafka.conveyor import Conveyor


def _figures(answer: bytes) -> dict[str, float]:
    """What an answer says, by name and labels as they are written."""
    found = re.findall(r"^(comity_\w+(?:{[^}]*})?) (\S+)$", answer.decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


@contextmanager
def _at(read: Read) -> Iterator[str]:
    """Where they can be scraped."""
    told: list[str] = []
    with Listener("127.0.0.1:0", read, told.append):
        yield told[0]


def _asked(where: str, path: str = "/metrics", method: str = "GET") -> tuple[int, bytes]:
    """Status and body."""
    status, _, body = asked(where.removeprefix("http://"), method, path)
    return status, body


def _scraped(where: str) -> dict[str, float]:
    status, answer = _asked(where)
    assert 200 == status
    return _figures(answer)


def test_a_relay_says_how_far_each_topic_is_and_what_is_left(conveyor: Conveyor):
    """What is sealed after it came round counts as lag at the next scrape, though it stands still."""
    conveyor.say(2)
    relay, size = conveyor.relaying(), conveyor.town.store.size()
    with _at(of_relay(relay, conveyor.town.store)) as where:
        assert 0.0 == _scraped(where)["comity_service_seen_timestamp_seconds"]

        sent = relay.run(threading.Event(), once=True)
        done = _scraped(where)
        conveyor.say(1)
        left = _scraped(where)

    topics = [conveyor.named(ENTRIES), conveyor.named(CHECKPOINTS)]
    assert [size, size] == [done[f'comity_relay_size{{topic="{one}"}}'] for one in topics]
    assert [0, 0] == [done[f'comity_relay_lag{{topic="{one}"}}'] for one in topics]
    assert [3, 3] == [left[f'comity_relay_lag{{topic="{one}"}}'] for one in topics]
    assert sent == done["comity_relay_messages_total"]
    assert abs(time.time() - done["comity_service_seen_timestamp_seconds"]) < 60
    assert 0 == done["comity_service_interruptions_total"]


def test_an_ingest_says_what_it_answered(conveyor: Conveyor):
    """Accepted, rejected, refused, set aside: each submission under what became of it, and under nothing else."""
    town = conveyor.town
    good = town.signed(town.opening("a case"), DE_PROSECUTOR)
    again = town.signed(town.opening("a case"), DE_PROSECUTOR)
    forged = replace(town.signed(town.opening("another"), DE_PROSECUTOR), signature=bytes(64))
    conveyor.send(good, again, forged)
    conveyor.send_raw(b"no submission")
    ingest = conveyor.ingest()
    seen = _figures(text(of_ingest(ingest)))

    assert {"accepted": 1, "rejected": 1, "refused": 1, "set_aside": 1} == {
        answer: seen[f'comity_ingest_submissions_total{{answer="{answer}"}}']
        for answer in ("accepted", "rejected", "refused", "set_aside")
    }
    assert 1 <= seen["comity_ingest_rounds_total"]
    assert abs(time.time() - seen["comity_service_seen_timestamp_seconds"]) < 60


def test_an_ingest_says_how_much_has_come_and_is_not_taken(conveyor: Conveyor):
    """It is looked at between rounds: what waits behind a round of one is its lag."""
    town = conveyor.town
    conveyor.send(*(town.signed(town.opening(f"case {number}"), DE_PROSECUTOR) for number in range(6)))
    ingest = conveyor.ingesting(round_size_max=1, watch_seconds=0.0)
    lags: list[int] = []
    submit = ingest._submit_many

    def looking(statements: list[Signed]) -> Iterator[Answer]:
        lags.append(ingest.count.lag)
        return submit(statements)

    ingest._submit_many = looking
    ingest.run(threading.Event(), once=True)

    assert 0 == ingest.count.lag
    assert lags[1:] == sorted(lags[1:], reverse=True)
    assert 5 in lags


def test_a_projector_says_how_far_each_projection_is(conveyor: Conveyor, cluster: Cluster):
    """Position, lag and what is parked of every projection; what this worker did itself; who divides the work."""
    store, stop, tally = conveyor.town.store, threading.Event(), Tally()
    conveyor.say(2)
    conveyor.relay()
    size = store.size()
    with Shared(store, catalogue(), cluster.address(cluster.schema()), partitions=3) as shared:
        read = of_projector(tally, shared, store)
        before = _figures(text(read))
        topic = conveyor.named(ENTRIES)
        thread = threading.Thread(
            target=work,
            args=(shared, store, catalogue(), conveyor.connection, stop.is_set),
            kwargs={"topic": topic, "tally": tally},
        )
        thread.start()
        try:
            until(lambda: set(shared.sizes().values()) == {size} and tally.partitions == 3)
            during = _figures(text(read))
        finally:
            stop.set()
            thread.join(60)
        conveyor.say(1)
        after = _figures(text(read))
        names = sorted(shared.sizes())

    assert len(names) > 3
    for name in names:
        label = f'{{projection="{name}"}}'
        assert size == before[f"comity_projection_lag{label}"] == during[f"comity_projection_size{label}"]
        assert 0 == before[f"comity_projection_size{label}"] == during[f"comity_projection_lag{label}"]
        assert 0 == during[f"comity_projection_parked{label}"]
        assert 3 == after[f"comity_projection_lag{label}"]
    assert 1 == during["comity_projector_by_kafka"]
    assert 3 == during["comity_projector_partitions"]
    assert 0 == during["comity_projector_owed"]
    assert size <= after["comity_projector_entries_total"]


def test_a_parked_act_is_counted(conveyor: Conveyor, cluster: Cluster, monkeypatch):
    """What a projection could not take is shown under its name, and under no other."""
    from projections import status

    conveyor.say(1)
    store = conveyor.town.store
    given = status.collect

    def failing(fact, rows):
        if fact.index == store.size() - 1:
            raise ValueError
        given(fact, rows)

    monkeypatch.setattr(status, "collect", failing)
    with Shared(store, catalogue(), cluster.address(cluster.schema()), partitions=3) as shared:
        shared.catch_up()
        seen = _figures(text(of_projector(Tally(), shared, store)))

    parked = {name: count for name, count in seen.items() if name.startswith("comity_projection_parked") and count}
    assert {'comity_projection_parked{projection="status"}': 1} == parked


def test_what_a_database_does_not_say_is_left_out(conveyor: Conveyor):
    """The figures that need it are missing, the others are told: a scrape never fails for it."""

    class Away:
        def checkpoint(self) -> bytes:
            raise Unavailable("the database cannot be reached")

    relay = conveyor.relaying()
    relay.run(threading.Event(), once=True)
    seen = _figures(text(of_relay(relay, cast("Store", Away()))))

    assert any(name.startswith("comity_relay_size") for name in seen)
    assert not any(name.startswith("comity_relay_lag") for name in seen)


def _nothing() -> Iterator[Metric]:
    return iter(())


def test_the_listener_answers_one_question_within_bounds():
    """Nothing else is there, nothing is taken, and whoever asks without end is refused."""
    with _at(_nothing) as where:
        assert (200, b"") == _asked(where)
        assert (200, b"") == _asked(where, method="HEAD")
        assert 405 == _asked(where, method="POST")[0]
        assert 404 == _asked(where, "/statements")[0]
        assert 429 in [_asked(where)[0] for _ in range(BOUNDS.requests_at_once + 10)]


def test_a_figure_that_cannot_be_reckoned_is_told_as_every_error_is():
    """Whoever scrapes learns that it failed and where to look, nothing of what is inside; the next one is answered."""
    asked_before = []

    def read() -> Iterator[Metric]:
        asked_before.append(True)
        if len(asked_before) == 1:
            raise ZeroDivisionError("within")
        return iter(())

    with _at(read) as where:
        status, body = _asked(where)
        assert 503 == status
        assert {"title": "not now", "now": "look at the log of the service"}.items() <= json.loads(body).items()
        assert b"within" not in body
        assert (200, b"") == _asked(where)


def test_a_taken_address_is_refused_and_none_is_no_address():
    """It is said before the service begins; closing ends the thread and frees the address."""
    with _at(_nothing) as where:
        taken = where.removeprefix("http://")
        with pytest.raises(Unavailable, match="nobody can listen"):
            Listener(taken, _nothing)
        with pytest.raises(FormatError):
            Listener("nowhere", _nothing)
    with Listener(taken, _nothing):
        assert "metrics" in {thread.name for thread in threading.enumerate()}
    assert "metrics" not in {thread.name for thread in threading.enumerate()}
    with Listener("", _nothing):
        assert "metrics" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("command", ["relay", "ingest"])
def test_the_commands_say_where_and_answer_while_kafka_is_away(command: str, tmp_path: Path):
    """A real process: its address is told, its attempts to reach the brokers are counted, SIGTERM ends it."""
    town = found(tmp_path / "ledger")
    town.ledger.close()
    arguments: list[str | Path] = [command, "--kafka", "127.0.0.1:1", "--ledger", town.ledger.folder]
    variables = {"COMITY_METRICS_LISTEN": "127.0.0.1:0", "COMITY_KAFKA_REQUEST_MS": "1000"}
    with process(arguments, **variables) as (run, told):
        where = told.removesuffix("/metrics")
        # Between its questions it is refused: it asks oftener than a scraper may.
        until(lambda: _figures(_asked(where)[1]).get("comity_service_interruptions_total", 0) > 0)
        run.send_signal(signal.SIGTERM)
        assert 0 == run.wait(30)


def test_a_pulse_is_of_the_moment():
    """It beats in seconds since 1970, as Prometheus' own time() has them."""
    pulse = Pulse()
    before = time.time()
    pulse.beat()

    assert before <= pulse.at <= time.time()
