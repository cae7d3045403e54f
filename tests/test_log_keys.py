"""A key of the log is replaced while services run: what stands signs, what was replaced never does again."""

from __future__ import annotations

import shutil
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import FormatError, NotPermitted, Unavailable
from ledger.gateway.front import Front, Offer
from ledger.keys import LogKey, LogKeys
from ledger.ledger import Ledger
from ledger.log import fsck
from ledger.sequencer import Receipt, Refusal
from ledger.store import STORE_FILE
from ledger.verify import ED25519, endorsement_message, parse_note, possession_message
from tests.town import (
    DE,
    DE_PROSECUTOR,
    FR,
    LEDGER,
    LOG_KEYS,
    OPERATOR,
    ORIGIN,
    Town,
    check_everything,
    check_receipt,
    found,
    opened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.keys import Signer
    from tests.cluster import Cluster

OLD = {"ed25519": LOG_KEYS.ed25519.public, "ml_dsa_44": LOG_KEYS.mldsa44_public}
NAMES = {"ed25519": "log.next.key", "ml_dsa_44": "log.mldsa.next.key"}


def replacing(new: LogKey, *endorsers: Signer) -> dict[str, Any]:
    """The body that replaces the key of the same kind: carried by the old one, or by founding roots."""
    signed = possession_message(ORIGIN, OPERATOR.authority, new.public)
    return {
        "old_key": sha256(OLD[new.algorithm]).digest(),
        "algorithm": new.algorithm,
        "public_key": new.public,
        "possession": new.sign(signed) + (b"" if endorsers else LOG_KEYS.ed25519.sign(signed)),
        "endorsements": [
            {
                "root": root.authority,
                "signature": root.key.sign(endorsement_message(ORIGIN, OPERATOR.authority, new.public)),
            }
            for root in endorsers
        ],
    }


def _replace(town: Town, new: LogKey, *endorsers: Signer) -> Receipt | Refusal:
    return town.say(town.draft("log_key.replaced", LEDGER, replacing(new, *endorsers)), OPERATOR)


def _signers(note: bytes) -> set[bytes]:
    return {line.key_id for line in parse_note(note).signatures}


def _key_ids(town: Town) -> set[bytes]:
    return {key.key_id for key in town.ledger.roster.log_keys}


def _sound(town: Town) -> None:
    """As `comity fsck` finds it: every checkpoint signed by keys that stood at its size."""
    check_everything(town.ledger)
    assert [] == fsck.check(town.store, town.ledger.catalogue).faults


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = found(tmp_path / "ledger")
    yield made
    made.ledger.close()


@pytest.mark.parametrize(("algorithm", "endorsers"), [("ed25519", ()), ("ed25519", (DE, FR)), ("ml_dsa_44", (DE, FR))])
def test_a_key_that_lies_beside_the_old_one_signs_from_the_act_on(town: Town, algorithm: str, endorsers: Any):
    """Without a restart: the checkpoint that first covers the act is signed by the new key, and never by the old."""
    before = _key_ids(town)
    new = LogKey.make(town.ledger.folder / NAMES[algorithm], algorithm)
    receipt = _replace(town, new, *endorsers)
    assert isinstance(receipt, Receipt)
    assert receipt.accepted
    later = town.say(town.opening("a case"), DE_PROSECUTOR)
    assert isinstance(later, Receipt)

    assert 1 == len(before - _key_ids(town))
    assert _signers(town.ledger.checkpoint()) == _key_ids(town)
    check_receipt(town.ledger, receipt)
    check_receipt(town.ledger, later)
    _sound(town)


def test_refusals_are_signed_by_the_key_that_stands(town: Town):
    """A publisher who knows the roster would take one by a replaced key for nobody's."""
    _replace(town, LogKey.make(town.ledger.folder / "log.next.key", "ed25519"))
    refusal = town.say(town.opening("a case"), DE_PROSECUTOR, sequence=7)
    assert isinstance(refusal, Refusal)

    standing = {key.key_id for key in town.ledger.roster.log_keys if key.algorithm == ED25519}
    assert standing == _signers(refusal.note)


def test_whoever_lacks_the_new_key_does_not_take_the_act(town: Town, tmp_path: Path):
    """It is not recorded, so that the log can be sealed; others go on; once the key is there it is taken."""
    new = LogKey.make(tmp_path / "elsewhere.key", "ed25519")
    signed = town.signed(town.draft("log_key.replaced", LEDGER, replacing(new)), OPERATOR)
    size = town.store.size()
    refusal = town.ledger.submit(signed)
    assert isinstance(refusal, Refusal)
    assert "unavailable" == refusal.code
    assert size == town.store.size()
    assert isinstance(town.say(town.opening("a case"), DE_PROSECUTOR), Receipt)

    shutil.copy(tmp_path / "elsewhere.key", town.ledger.folder / "log.next.key")
    receipt = town.ledger.submit(signed)
    assert isinstance(receipt, Receipt)
    assert receipt.accepted
    _sound(town)


def _opened_to_all(file: Path) -> None:
    file.chmod(0o644)


def _half_copied(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:40])


@pytest.mark.parametrize(("spoil", "error"), [(_opened_to_all, NotPermitted), (_half_copied, FormatError)])
def test_a_key_that_others_can_open_or_that_is_not_whole_is_none(town: Town, spoil: Any, error: type[Exception]):
    """It is not signed with, and so the act is not taken; what the others publish meanwhile is."""
    new = LogKey.make(town.ledger.folder / "log.next.key", "ed25519")
    spoil(town.ledger.folder / "log.next.key")

    answer = _replace(town, new)
    assert isinstance(answer, Refusal)
    assert "unavailable" == answer.code
    assert isinstance(town.say(town.opening("a case"), DE_PROSECUTOR), Receipt)
    with pytest.raises(error):
        LogKey.all_in(town.ledger.folder)


def test_the_files_are_renamed_when_it_is_over(town: Town):
    """Only the new key is left under the usual name; opened anew, the log goes on."""
    folder = town.ledger.folder
    _replace(town, LogKey.make(folder / "log.next.key", "ed25519"))
    town.ledger.close()
    (folder / "log.next.key").rename(folder / "log.key")
    again = opened(folder, town.clock)
    assert isinstance(again.say(again.opening("a case"), DE_PROSECUTOR), Receipt)

    assert LogKeys.load(folder).ed25519.public in {key.public_key for key in again.ledger.roster.log_keys}
    _sound(again)
    again.ledger.close()


def test_nobody_starts_with_a_replaced_key(town: Town):
    """It says so and why before it takes anything; reading needs no key."""
    folder = town.ledger.folder
    _replace(town, LogKey.make(folder / "log.next.key", "ed25519"))
    newest = town.ledger.checkpoint()
    town.ledger.close()
    (folder / "log.next.key").unlink()

    with pytest.raises(Unavailable, match="a key of the log was replaced, and the one that stands is not here"):
        Ledger.open(folder, clock=town.clock)
    assert not (folder / "ledger.db-wal").exists(), "the store is closed again"
    with Ledger.open(folder, clock=town.clock, read_only=True) as reading:
        assert newest == reading.checkpoint()


@pytest.fixture
def two(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Town, Town]]:
    """Two services on one log in PostgreSQL, each with the keys in a folder of its own."""
    address = cluster.address(cluster.schema())
    first = found(tmp_path / "first", store=address)
    folder = tmp_path / "second"
    folder.mkdir()
    for name in ("log.key", "log.mldsa.key", STORE_FILE):
        shutil.copy(tmp_path / "first" / name, folder / name)
    second = opened(folder, first.clock)
    yield first, second
    second.ledger.close()
    first.ledger.close()


def test_another_process_signs_nothing_until_it_has_the_key(two: tuple[Town, Town]):
    """It learns of the act from the log, takes nothing and refuses nothing; with the key there it goes on by itself."""
    first, second = two
    assert isinstance(second.say(second.opening("before"), DE_PROSECUTOR), Receipt)
    _replace(first, LogKey.make(first.ledger.folder / "log.next.key", "ed25519"))
    front = Front(second.ledger, Offer(), clock=second.clock)
    size = first.store.size()

    signed = second.signed(second.opening("after"), DE_PROSECUTOR)
    for _ in range(2):
        with pytest.raises(Unavailable, match="a key of the log was replaced"):
            second.ledger.submit(signed)
    with pytest.raises(Unavailable):
        list(second.ledger.submit_many([signed], workers=0))
    assert size == first.store.size()
    assert any("a key of the log was replaced" in one for one in front.reasons())

    shutil.copy(first.ledger.folder / "log.next.key", second.ledger.folder / "log.next.key")
    receipt = second.ledger.submit(signed)
    assert isinstance(receipt, Receipt)
    assert [] == Front(second.ledger, Offer(), clock=second.clock).reasons()
    check_receipt(first.ledger, receipt)
    _sound(first)
