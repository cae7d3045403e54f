"""The relay carries each entry once, in order, whatever it dies of and whoever else relays."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ledger.errors import Conflict, NotFound, Unavailable
from ledger.kafka import relay as module
from ledger.kafka import wire
from ledger.kafka.relay import Fenced, Lane, sources
from ledger.kafka.topics import CHECKPOINTS, ENTRIES
from ledger.reading import recorded
from ledger.verify import check_inclusion, leaf_hash, parse_checkpoint, parse_note, parse_proof
from tests.kafka.conveyor import first_occurrences
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR, named
from tests.waiting import until

if TYPE_CHECKING:
    from tests.kafka.conveyor import Conveyor, Seen


def _values(messages: list[Seen]) -> list[Seen]:
    return [one for one in messages if one.value is not None]


def test_what_is_in_the_log_is_in_the_topic(conveyor: Conveyor):
    """Each entry is relayed once: the leaf's own bytes, under its case, with index, act and leaf hash."""
    conveyor.say(8)
    store = conveyor.town.store
    conveyor.relay()
    messages = _values(conveyor.seen(ENTRIES))

    assert store.size() == len(messages)
    conveyor.check_entries()
    for one in messages:
        act = recorded(one.index, store.entry(one.index), conveyor.town.ledger.catalogue)
        headers = dict(one.headers)
        assert act.statement.case == one.key
        assert act.statement.act.encode() == headers["act"]
        assert leaf_hash(store.entry(one.index)).hex().encode() == headers["leaf"]
    assert len({one.partition for one in messages}) > 1


def test_a_case_keeps_its_order(conveyor: Conveyor):
    """All entries of a case stand in one partition, in the order of the log."""
    conveyor.say(6, each=5)
    conveyor.relay()
    messages = _values(conveyor.seen(ENTRIES))
    by_case: dict[bytes | None, list[Seen]] = {}
    for one in messages:
        by_case.setdefault(one.key, []).append(one)

    assert all(len({one.partition for one in some}) == 1 for some in by_case.values())
    for number in {one.partition for one in messages}:
        indexes = [one.index for one in messages if one.partition == number]
        assert sorted(set(indexes)) == indexes


def test_a_relay_that_starts_again_sends_nothing_twice(conveyor: Conveyor):
    """How far it is stands in the topic: what is there is not sent again, what is new is."""
    conveyor.say(3)
    first = conveyor.relay()
    again = conveyor.relay()
    conveyor.say(2)
    conveyor.relay()
    messages = _values(conveyor.seen(ENTRIES))

    assert first > 0
    assert again == 0
    assert sorted(one.index for one in messages) == list(range(conveyor.town.store.size()))


def test_small_groups_make_the_same_topic(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """However entries are grouped, by number or by bytes, each is there once and in order."""
    monkeypatch.setattr(module, "GROUP_SIZE", 4)
    monkeypatch.setattr(module, "GROUP_BYTES", 1_500)
    conveyor.say(7)
    conveyor.relay()

    assert conveyor.town.store.size() == len(_values(conveyor.seen(ENTRIES)))
    conveyor.check_entries()


def test_checkpoints_follow_what_they_cover(conveyor: Conveyor):
    """Checkpoints stand in their topic in order, each once, the bytes that were signed."""
    store = conveyor.town.store
    for _ in range(3):
        conveyor.say(1)
        conveyor.relay()
        conveyor.relay()
    messages = _values(conveyor.seen(CHECKPOINTS))
    heads = [wire.unpack_checkpoint(one.value or b"") for one in messages]

    assert [size for size, _ in heads] == sorted({size for size, _ in heads})
    assert [store.checkpoint(size) for size, _ in heads] == [note for _, note in heads]
    assert heads[-1][0] == store.size()
    assert {one.key for one in messages} == {conveyor.town.ledger.origin.encode()}


def test_an_audience_gets_what_it_may_see_with_proofs(conveyor: Conveyor):
    """Each audience's topic holds exactly its entries, in the order of the log, each proved under a checkpoint."""
    town = conveyor.town
    conveyor.say(4)
    joint = town.draft(
        "person.registered",
        named("case 0 at 5"),
        {"person": named("a witness"), "role": "suspect"},
        addressees=(FR_PROSECUTOR.authority,),
    )
    assert getattr(town.say(joint, DE_PROSECUTOR), "accepted", False)
    assert getattr(town.say(town.person("case 0 at 5", "later"), DE_PROSECUTOR), "accepted", False)
    conveyor.relay()
    store = town.store
    acts = [recorded(index, data, town.ledger.catalogue) for index, data in store.entries(0, store.size())]

    def indexes(topic: str) -> list[int]:
        found = []
        for one in first_occurrences(conveyor.seen(topic)):
            index, entry, proof = wire.unpack_proven(one.value or b"")
            read = parse_proof(proof)
            head = parse_checkpoint(parse_note(read.note).text)
            assert (index, index) == (one.index, read.index)
            assert entry == store.entry(index)
            check_inclusion(leaf_hash(entry), index, head.size, read.path, head.root)
            found.append(index)
        return sorted(found)

    public = [act.index for act in acts if act.statement.visibility.ring == "public"]
    berlin = [
        act.index
        for act in acts
        if act.statement.publisher == DE_PROSECUTOR.authority or act.statement.visibility.ring == "public"
    ]
    paris = [
        act.index
        for act in acts
        if act.statement.publisher == FR_PROSECUTOR.authority
        or act.statement.visibility.ring == "public"
        # It was addressed in the last but one entry, and takes part from then on: not before.
        or act.index >= store.size() - 2
    ]
    assert public == indexes("comity.entries.public")
    assert berlin == indexes("comity.entries.berlin")
    assert paris == indexes("comity.entries.paris")
    assert len(paris) < store.size()


def test_what_is_embargoed_goes_to_nobody_but_those_addressed(conveyor: Conveyor):
    """An embargo keeps an entry from every audience but its publisher and its addressees."""
    from ledger.statement import Visibility

    town = conveyor.town
    hidden = town.draft(
        "case.opened",
        named("under embargo"),
        {"procedure": "criminal", "stage": "investigation", "offences": [], "sensitivity": "ordinary"},
        addressees=(FR_PROSECUTOR.authority,),
        visibility=Visibility("public", town.clock.now + 10**12),
    )
    assert getattr(town.say(hidden, DE_PROSECUTOR), "accepted", False)
    index = town.store.size() - 1
    conveyor.relay()

    assert index not in [one.index for one in _values(conveyor.seen("comity.entries.public"))]
    assert index in [one.index for one in _values(conveyor.seen("comity.entries.paris"))]


def test_brokers_that_lost_what_they_had_acknowledged_are_noticed(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """An offset given out twice means a hole: the relay looks anew how far the topic is, and goes on after no guess."""
    conveyor.relay()
    with conveyor.connection.producer() as producer:
        lane = Lane(sources(conveyor.town.store, conveyor.declared)[0], producer, conveyor.connection)
        lane.recover()
        for partition in lane._partitions:
            monkeypatch.setattr(partition, "end", partition.end + 1)
        with pytest.raises(Unavailable, match="gave offset"):
            lane._mark()


def test_what_brokers_lost_is_sent_again_however_much(conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch):
    """The search for what is missing begins where the shortest partition ends, not near the end of the longest."""
    monkeypatch.setattr(module, "GROUP_SIZE", 2)
    conveyor.say(9)
    source = sources(conveyor.town.store, conveyor.declared)[0]
    messages = [one for one in source.messages(0, conveyor.town.store.size(), b"1-00") if one is not None]
    short = {number: [one for one in messages if module.partition_of(one.key, 3) == number] for number in range(3)}
    del short[module.partition_of(messages[-1].key, 3)]
    lost = max(short.values(), key=len)
    with conveyor.connection.producer() as producer:
        for one in messages:
            if one not in lost[1:]:
                where = module.partition_of(one.key, 3)
                producer.send(source.topic, one.value, one.key, one.headers, where)
    assert lost[1].index < messages[-1].index - 2 * module.GROUP_SIZE
    before = {one.index for one in _values(conveyor.seen(ENTRIES))}
    conveyor.relay()

    assert before.isdisjoint(one.index for one in lost[1:])
    conveyor.check_entries()


def test_what_an_operator_vouches_for_hides_nothing_that_a_topic_says(conveyor: Conveyor):
    """A size given for a topic that has expired skips no entry of one that has not."""
    conveyor.say(2)
    conveyor.relay(resume_at=conveyor.town.store.size() - 2)

    conveyor.check_entries()


def test_a_second_relay_fences_the_first(conveyor: Conveyor):
    """The older of two relays ends as soon as it writes; what both sent stands there once by index."""
    conveyor.say(2)
    source = sources(conveyor.town.store, conveyor.declared)[0]
    with conveyor.connection.producer() as first, conveyor.connection.producer() as second:
        older, newer = Lane(source, first, conveyor.connection), Lane(source, second, conveyor.connection)
        older.recover()
        older.advance(4, lambda: False)
        newer.recover()
        with pytest.raises(Fenced) as fenced:
            older.advance(9, lambda: False)
        newer.advance(conveyor.town.store.size(), lambda: False)

    assert fenced.value.status == 6
    assert "another relay" in fenced.value.what
    conveyor.check_entries()


def test_a_relay_that_was_halted_harms_nothing(conveyor: Conveyor):
    """What a predecessor wakes up and sends comes second: readers who ignore passed indexes see each once."""
    conveyor.say(4)
    size = conveyor.town.store.size()
    source = sources(conveyor.town.store, conveyor.declared)[0]
    with conveyor.connection.producer() as first, conveyor.connection.producer() as second:
        older, newer = Lane(source, first, conveyor.connection), Lane(source, second, conveyor.connection)
        older.recover()
        older.advance(3, lambda: False)
        newer.recover()
        newer.advance(8, lambda: False)
        with pytest.raises(Fenced):
            older.advance(size, lambda: False)
        # The newer meets what the older sent, and goes on behind it.
        newer.advance(size, lambda: False)
        assert newer.size == size
        conveyor.say(1)
        newer.advance(conveyor.town.store.size(), lambda: False)

    assert len(_values(conveyor.seen(ENTRIES))) > size
    conveyor.check_entries()


def test_a_batch_that_arrives_after_recovery_is_no_hole(conveyor: Conveyor):
    """A dead relay's batch that lands after its successor has looked is a duplicate, and is taken as sent."""
    conveyor.say(3)
    size = conveyor.town.store.size()
    source = sources(conveyor.town.store, conveyor.declared)[0]
    with conveyor.connection.producer() as first, conveyor.connection.producer() as second:
        dead, alive = Lane(source, first, conveyor.connection), Lane(source, second, conveyor.connection)
        dead.recover()
        alive.recover()
        # On its way when it died, stored only now.
        tag = dead._tag
        for message in source.messages(0, size, tag):
            assert message is not None
            number = module.partition_of(message.key, 3)
            first.send(source.topic, message.value, message.key, message.headers, number)
        first.flush()
        sent = alive.advance(size, lambda: False)

    assert sent == size, "it had begun before it met them"
    conveyor.check_entries()


def test_a_topic_that_does_not_exist_is_named(conveyor: Conveyor):
    """A relay without its topics says which is missing, and what to do."""
    with pytest.raises(NotFound) as missing:
        conveyor.__class__(conveyor.town, conveyor.bootstrap, "no-such", conveyor.folder).relay()

    assert "no-such.entries" in missing.value.what
    assert "topics apply" in missing.value.what_now


def test_a_topic_whose_messages_have_all_expired_is_not_filled_blindly(
    conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch
):
    """Where nothing says any more how far it was, the operator says it; then only what is missing is sent."""
    conveyor.say(2)
    conveyor.relay()
    size = conveyor.town.store.size()
    from kafka import KafkaConsumer

    monkeypatch.setattr(KafkaConsumer, "beginning_offsets", KafkaConsumer.end_offsets)
    with pytest.raises(Conflict) as lost:
        conveyor.relay()
    sent = conveyor.relaying(conveyor.named(ENTRIES), resume_at=size).run(threading.Event(), once=True)

    assert "--resume-at" in lost.value.what_now
    assert sent == 0


def test_an_audience_that_sees_nothing_is_told_how_far_the_relay_is(
    conveyor: Conveyor, monkeypatch: pytest.MonkeyPatch
):
    """Marks keep the search short for a topic that nothing goes to, and tell its readers what they have not missed."""
    monkeypatch.setattr(module, "MARK_EVERY", 4)
    monkeypatch.setattr(module, "GROUP_SIZE", 4)
    conveyor.say(6)
    conveyor.relay()
    marks = [one for one in conveyor.seen("comity.entries.public") if one.value is None]
    with conveyor.connection.producer() as producer:
        lane = Lane(sources(conveyor.town.store, conveyor.declared)[1], producer, conveyor.connection)
        lane.recover()

    assert max(one.index for one in marks) > 10
    assert lane.size > 10


def test_a_relay_follows_until_it_is_told_to_stop(conveyor: Conveyor):
    """What is said while it runs is relayed without being asked for, and it ends when told."""
    stop = threading.Event()
    running = threading.Thread(target=conveyor.relaying().run, args=(stop,))
    running.start()
    conveyor.say(3)
    size = conveyor.town.store.size()
    until(lambda: len(first_occurrences(conveyor.seen(ENTRIES))) == size)
    stop.set()
    running.join(30)

    assert not running.is_alive()
    conveyor.check_entries()
