"""Keeping a log from the command line: configured, served, moved, backed up, restored; never founded twice."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from tests.cli.world import comity, good, opened

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.world import World
    from tests.cluster import Cluster


def test_a_backup_is_added_to_and_restores_what_was_published(world: World, tmp_path: Path):
    """Behind the published checkpoint nothing is restored; with the newer backup everything is."""
    backup, lost = tmp_path / "backup", tmp_path / "lost.db"
    first = good(world.run("backup", backup, "--json")).json
    good(world.publish(opened("00000000-0000-4000-8000-000000000001")))
    (world.folder / "ledger.db").rename(lost)

    behind = world.run("restore", backup, "--json")
    assert 6 == behind.status
    assert "receipts" in behind.trouble["why"]

    lost.rename(world.folder / "ledger.db")
    again = good(world.run("backup", backup, "--json")).json
    assert (first["size"] + 1, 1) == (again["size"], again["copied"])
    (world.folder / "ledger.db").rename(lost)
    assert again["root"] == good(world.run("restore", backup, "--json")).json["root"]
    assert good(world.run("fsck", "--json")).json["sound"]
    good(world.publish(opened("00000000-0000-4000-8000-000000000002")))


def test_a_ledger_moves_to_postgresql_and_every_command_follows(world: World, cluster: Cluster):
    """The folder says where the log is; publishing, reading and checking need not be told."""
    address = cluster.address(cluster.schema())
    size = world.size()
    moved = good(comity("migrate", world.folder, address, "--json")).json

    assert (address, size, size) == (moved["store"], moved["size"], moved["copied"])
    good(world.publish(opened("00000000-0000-4000-8000-000000000001")))
    assert good(world.run("fsck", "--json")).json["sound"]
    assert 6 == comity("migrate", world.folder, address).status
    assert 6 == comity("migrate", world.folder, address, "--abandon").status


def test_a_log_is_not_founded_in_a_shared_database_by_accident(tmp_path: Path, cluster: Cluster):
    """An empty database may be the wrong one; --inception says that it is meant."""
    address = cluster.address(cluster.schema())
    asked = ("init", tmp_path / "ledger", "--origin", "t.example/2026", "--root", "DE=germany", "--store", address)

    refused = comity(*asked, "--json")
    assert 7 == refused.status
    assert "--inception" in refused.trouble["now"]
    assert not (tmp_path / "ledger").exists()
    good(comity(*asked, "--inception"))
    assert 1 == len(good(comity("tail", "--json", "--ledger", tmp_path / "ledger")).lines)


def test_a_configuration_that_names_the_log_keeps_it_from_being_founded_again(tmp_path: Path):
    """The folder is gone, the configuration remembers: another entry 0 would be another log."""
    file = tmp_path / "comity.toml"
    file.write_text('[ledger]\norigin = "t.example/2026"\ninception = "2020-01-01"\n')
    asked = ("init", tmp_path / "ledger", "--origin", "t.example/2026", "--root", "DE=germany", "--config", file)

    assert 7 == comity(*asked, "--inception").status
    assert 6 == comity(*("t.example/2027" if one == "t.example/2026" else one for one in asked)).status
    assert not (tmp_path / "ledger").exists()


def test_what_holds_is_shown_with_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """File, variable and default; the manual is a file to begin with."""
    (tmp_path / "comity.toml").write_text("[gateway]\nconnections_max = 9\n")
    monkeypatch.setenv("COMITY_CONFIG", str(tmp_path / "comity.toml"))
    monkeypatch.setenv("COMITY_GATEWAY_LISTEN", "[::1]:7")
    shown = good(comity("config", "show", "--json")).json

    assert (9, "[::1]:7") == (shown["gateway"]["connections_max"], shown["gateway"]["listen"])
    assert {"gateway.connections_max", "gateway.listen"} == set(shown["sources"])
    assert 9 == tomllib.loads(good(comity("config", "show")).out)["gateway"]["connections_max"]
    assert 1_024 == tomllib.loads(good(comity("config", "manual")).out)["gateway"]["connections_max"]


def test_a_misspelt_key_ends_the_command(tmp_path: Path):
    """By file and key, with what was probably meant."""
    (tmp_path / "comity.toml").write_text("[gateway]\nconections_max = 9\n")
    refused = comity("config", "show", "--config", tmp_path / "comity.toml", "--json")

    assert 7 == refused.status
    assert "did you mean gateway.connections_max?" in refused.trouble["why"]
