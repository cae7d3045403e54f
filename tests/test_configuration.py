"""The configuration: what is misspelt or out of bounds is refused by name, and the comments are the manual."""

from __future__ import annotations

import dataclasses
import tomllib
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import moving
from ledger.configuration import (
    SECRETS,
    SECTIONS,
    Configuration,
    LedgerSection,
    address,
    check_secret,
    comments,
    load,
    manual,
    shown,
    variable,
)
from ledger.errors import Conflict, FormatError, NotFound, NotPermitted
from ledger.ledger import Ledger
from ledger.opening import check_inception, open_configured
from ledger.store import STORE_FILE, fence
from tests.town import ORIGIN, found

if TYPE_CHECKING:
    from tests.town import Town

KEYS = [(section, one) for section, kind in SECTIONS.items() for one in dataclasses.fields(kind)]


def written(tmp_path: Path, text: str) -> Path:
    """A configuration of this text."""
    file = tmp_path / "comity.toml"
    file.write_text(text)
    return file


# --- reading ---


def test_the_manual_is_a_configuration_of_defaults(tmp_path):
    """What the manual prints can be read, and changes nothing; every key is in it, under its meaning."""
    text = manual()
    read = tomllib.loads(text)
    made = load(written(tmp_path, text.replace('folder = "comity-ledger"\n', "")), {})

    assert Configuration() == made
    assert {(section, one.name) for section, one in KEYS} == {(s, key) for s, keys in read.items() for key in keys}
    for section, kind in SECTIONS.items():
        said = comments(section)
        assert [one.name for one in dataclasses.fields(kind)] == list(said)
        assert said[dataclasses.fields(kind)[0].name]
        assert max(map(len, text.splitlines())) <= 120


def test_what_is_shown_can_be_read_back(tmp_path):
    """The effective configuration is a file too, and says where each key comes from."""
    file = written(tmp_path, '[gateway]\nlisten = "[::1]:1"\nrequests_per_second = 3\n')
    made = load(
        file,
        {
            "COMITY_KAFKA_BOOTSTRAP": "a:1, b:2",
            "COMITY_GATEWAY_PUBLISH": "false",
            "COMITY_LEDGER_FOLDER": str(tmp_path),
        },
    )
    text = shown(made)

    assert made == load(written(tmp_path, text), {})
    assert f'listen = "[::1]:1"  # {file}' in text
    assert "publish = false  # COMITY_GATEWAY_PUBLISH" in text
    assert ('bootstrap = ["a:1", "b:2"]') in text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[gatway]\n", ["gatway", "did you mean gateway"]),
        ('[gateway]\nlisen = "a:1"\n', ["gateway.lisen", "did you mean gateway.listen"]),
        ("gateway = 1\n", ["gateway"]),
        ("[gateway]\nlisten = 8440\n", ["gateway.listen", "text"]),
        ("[gateway]\npublish = 1\n", ["gateway.publish", "true or false"]),
        ("[gateway]\nconnections_max = true\n", ["gateway.connections_max", "whole number"]),
        ("[gateway]\nconnections_max = 0\n", ["gateway.connections_max", "1 to"]),
        ("[gateway]\nbody_seconds = nan\n", ["gateway.body_seconds"]),
        ("[gateway]\nbody_seconds = inf\n", ["gateway.body_seconds"]),
        ('[gateway]\nentries = "all"\n', ["gateway.entries", "mirrors, nobody, everybody"]),
        ('[gateway]\nlisten = "localhost"\n', ["gateway.listen"]),
        ('[gateway]\ntls_certificate = "x.pem"\n', ["gateway.tls_certificate"]),
        ('[kafka]\nbootstrap = "a:1"\n', ["kafka.bootstrap", "list"]),
        ('[kafka]\nmechanism = "SCRAM-SHA-512"\n', ["kafka.mechanism"]),
        ('[ledger]\npin = "abc"\n', ["ledger.pin"]),
        ('[ledger]\ninception = "soon"\n', ["ledger.inception"]),
        ("[ledger\n", ["TOML"]),
    ],
)
def test_what_cannot_be_meant_is_refused_by_file_and_key(tmp_path, text, names):
    """A limit that was misspelt would be no limit."""
    with pytest.raises(FormatError) as raised:
        load(written(tmp_path, text), {})
    said = f"{raised.value.field}: {raised.value.what}"

    assert all(name in said for name in names), said


@pytest.mark.parametrize(("name", "value"), [("GATEWAY_LISEN", "a:1"), ("GATEWAY_PUBLISH", "maybe"), ("KAFKA_REQUEST_MS", "x")])  # fmt: skip  # noqa: E501
def test_the_environment_is_held_to_the_same(name, value):
    """A variable that is no key, and one whose text is no value, are named."""
    with pytest.raises(FormatError) as raised:
        load(None, {"COMITY_" + name: value})

    assert name in raised.value.field


def test_other_variables_of_comity_are_not_taken_for_keys():
    """COMITY_LEDGER and its like belong to the command line."""
    assert Configuration() == load(None, {"COMITY_LEDGER": "x", "COMITY_LOG_LEVEL": "info", "COMITY_KEY": "y"})


@given(section=st.sampled_from(list(SECTIONS)), value=st.recursive(st.integers() | st.text() | st.floats() | st.booleans(), st.lists, max_leaves=4), data=st.data())  # fmt: skip  # noqa: E501
def test_no_value_does_anything_but_hold_or_be_refused(section, value, data):
    """Any value for any key: it is taken as the field has it, or refused by name."""
    from ledger.configuration import _checked

    key = data.draw(st.sampled_from(dataclasses.fields(SECTIONS[section])))
    try:
        taken = _checked("a file", section, key.name, value)
    except (FormatError, NotFound, NotPermitted, OSError, ValueError) as error:
        assert not isinstance(error, FormatError) or key.name in error.field
    else:
        assert isinstance(taken, (type(key.default), str))


def test_paths_in_the_file_are_relative_to_it_and_variables_to_where_one_stands(tmp_path):
    """So that a configuration can be moved with what it names."""
    file = written(tmp_path, '[ledger]\nfolder = "log"\nkeys = "secret"\n')

    assert tmp_path / "log" == load(file, {}).ledger.folder
    assert str(tmp_path / "secret") == load(file, {}).ledger.keys
    assert Path("here") == load(file, {"COMITY_LEDGER_FOLDER": "here"}).ledger.folder


def test_every_key_has_its_variable():
    """And no two keys share one."""
    assert len(KEYS) == len({variable(section, one.name) for section, one in KEYS})


@pytest.mark.parametrize(("mode", "taken"), [(0o600, True), (0o400, True), (0o640, True), (0o644, False), (0o660, False), (0o604, False)])  # fmt: skip  # noqa: E501
def test_a_secret_that_others_can_open_is_refused(tmp_path, mode, taken):
    """Owner alone, or a group that may read: container platforms give secrets to a group."""
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(mode)
    if taken:
        check_secret(file, "a key")
        return
    with pytest.raises(NotPermitted) as raised:
        check_secret(file, "a key")
    assert f"{mode:04o}" in raised.value.what


@pytest.mark.parametrize(("section", "key"), SECRETS)
def test_every_secret_is_looked_at_when_the_configuration_is_read(tmp_path, section, key):
    """Not when it is first used, at night."""
    (tmp_path / "open").write_text("x")
    (tmp_path / "open").chmod(0o644)
    with pytest.raises(NotPermitted):
        load(written(tmp_path, f'[{section}]\n{key} = "open"\n'), {})
    with pytest.raises(NotFound):
        load(written(tmp_path, f'[{section}]\n{key} = "absent"\n'), {})


@pytest.mark.parametrize(("text", "meant"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("a:65536", None), ("::1:80", None), (":80", None), ("a:", None), ("a:-1", None), ("a:٣", None)])  # fmt: skip  # noqa: E501
def test_where_to_listen_is_read_strictly(text, meant):
    """Host and port; IPv6 in brackets."""
    if meant is not None:
        assert meant == address(text)
        return
    with pytest.raises(FormatError):
        address(text)


# --- opening, and founding by accident ---


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = found(tmp_path / "ledger")
    made.ledger.close()
    return made


def of(folder: Path, **ledger: Any) -> Configuration:
    """A configuration of this folder."""
    return Configuration(ledger=LedgerSection(folder=folder, **ledger))


def test_a_configured_ledger_is_opened_if_it_is_the_one_that_was_meant(town):
    """Origin and pin agree; keys may lie elsewhere; without keys it is read."""
    folder = town.ledger.folder
    pin = Ledger.open(folder, read_only=True).pin().hex()
    with closing(open_configured(of(folder, origin=ORIGIN, pin=pin))) as opened:
        assert not opened.store.read_only
    secret = folder.with_name("secret")
    secret.mkdir()
    for name in ("log.key", "log.mldsa.key"):
        (folder / name).rename(secret / name)
    with closing(open_configured(of(folder))) as opened:
        assert opened.store.read_only
    with closing(open_configured(of(folder, keys=str(secret)))) as opened:
        assert not opened.store.read_only
    (secret / "log.key").chmod(0o644)
    with pytest.raises(NotPermitted):
        open_configured(of(folder, keys=str(secret)))


@pytest.mark.parametrize("wrong", [{"origin": "another.example/2026"}, {"pin": "00" * 32}])
def test_another_log_than_the_one_meant_is_not_opened(town, wrong):
    """Whatever lies in the store, it must be this log."""
    with pytest.raises(Conflict):
        open_configured(of(town.ledger.folder, **wrong))


def test_an_empty_store_is_a_loss_wherever_anything_says_that_the_log_began(town, cluster):
    """A checkpoint or a pin: then a lost file, an empty file and an empty database are refused, and none is made."""
    folder = town.ledger.folder
    (folder / "ledger.db").unlink()
    with pytest.raises(NotFound) as missing:
        open_configured(of(folder))
    assert "published over 5 entries" in missing.value.why
    address_ = cluster.address(cluster.schema())
    (folder / STORE_FILE).write_text(address_ + "\n")
    for configuration in (of(folder), of(folder, store=address_)):
        with pytest.raises(Conflict) as raised:
            open_configured(configuration)
        assert "published over 5 entries" in raised.value.why
    with pytest.raises(Conflict):
        Ledger.open(folder)
    (folder / "checkpoint").unlink()
    with pytest.raises(Conflict):
        open_configured(of(folder, pin="00" * 32))
    with pytest.raises(NotFound):
        open_configured(of(folder))


def test_two_places_for_one_log_are_refused(town, cluster):
    """The folder says one store, the configuration another: somebody has moved it, and told half of everybody."""
    with pytest.raises(Conflict, match="two places"):
        open_configured(of(town.ledger.folder, store=cluster.address(cluster.schema())))


def test_a_store_that_its_log_has_left_can_be_read_and_not_written(town):
    """The gateway that was not told of the move ends before anybody is answered."""
    fence.put_up(town.store.address, "left", "postgresql://host/database")
    with pytest.raises(Conflict) as raised:
        open_configured(of(town.ledger.folder))
    assert "postgresql://host/database" in raised.value.why
    open_configured(of(town.ledger.folder), read_only=True).close()


def test_a_log_is_founded_on_its_day_and_on_request(tmp_path):
    """With a configuration that names it: on the day it says, with --inception, and never over a trace of one."""
    day = date(2026, 11, 22)
    named = LedgerSection(folder=tmp_path, origin=ORIGIN, inception="2026-11-22")
    free = LedgerSection(folder=tmp_path)

    check_inception(free, asked=False, today=day)
    check_inception(named, asked=True, today=day)
    check_inception(free, asked=True, store="postgresql://host/database", today=day)
    for section, asked, store, today in (
        (named, False, "", day),
        (named, True, "", date(2026, 11, 23)),
        (LedgerSection(folder=tmp_path, origin=ORIGIN), True, "", day),
        (free, False, "postgresql://host/database", day),
    ):
        with pytest.raises(NotPermitted):
            check_inception(section, asked=asked, store=store, today=today)
    with pytest.raises(Conflict):
        check_inception(LedgerSection(folder=tmp_path, pin="00" * 32), asked=True, today=day)
    (tmp_path / "checkpoint").write_bytes(b"x")
    with pytest.raises(Conflict):
        check_inception(named, asked=True, today=day)


def test_a_restored_ledger_opens_as_configured(town, tmp_path, cluster):
    """After a loss: restore, and the same configuration opens the same log."""
    folder = town.ledger.folder
    moving.back_up(folder, tmp_path / "backup")
    (folder / "ledger.db").unlink()
    address_ = cluster.address(cluster.schema())
    moving.restore(tmp_path / "backup", folder, store=address_)
    with closing(open_configured(of(folder, store=address_, origin=ORIGIN), read_only=True)) as opened:
        assert 5 == opened.store.size()
