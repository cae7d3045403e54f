"""What `make cluster` does when processes end or somebody starts it twice; the whole of it is `make test-cluster`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy import cluster, servers
from deploy.cluster import Service, Stack, StartError

if TYPE_CHECKING:
    from pathlib import Path


def service(folder: Path, script: str, name: str = "gateway") -> Service:
    """A service that is a script of the shell."""
    (folder / name).mkdir()
    return Service(name, ["/bin/sh", "-c", script], folder / name)


def ended(one: Service) -> Service:
    """The service, when the process that it is now has ended."""
    assert one.process is not None
    one.process.wait()
    return one


@pytest.fixture
def stack(tmp_path: Path):
    """Nothing is started in it yet."""
    made = Stack(tmp_path / "cluster", kafka="small", brokers=1, fixed_ports=False, tell=lambda _: None)
    yield made
    made.stop()


def test_what_ends_is_told_once_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever looks hears how it ended and where it said why; the next look starts it."""
    monkeypatch.setattr(cluster, "AGAIN_SECONDS", (0.0, 0.0))
    one = service(tmp_path, "echo why; exit 3")
    one.start()

    told = ended(one).look()
    assert told == f"gateway ended (status 3) and is started again; see {one.said}"
    assert one.look() is None
    assert 2 == one.starts

    ended(one).stop()
    assert "why\nwhy" == one.tail()
    assert one.look() is None


def test_the_one_that_did_not_start_is_named_with_its_last_words(stack: Stack, tmp_path: Path):
    """Not whoever was begun last: what a person reads is what went wrong."""

    def fails() -> None:
        raise ConnectionRefusedError("nobody listens")

    first = stack._begin(service(tmp_path, "echo no disk; exit 1"))
    stack._begin(service(tmp_path, "exec sleep 600", "projector"))
    ended(first)

    with pytest.raises(StartError, match=r"gateway did not start: nobody listens\n.*gateway.log ends with:\nno disk"):
        stack._until(first, fails)


def test_a_folder_has_one_cluster_and_no_stranger(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two would write into each other's files; what lies in another folder is not ours to write to."""
    # Where root runs the tests, their folders are closed to whoever would run PostgreSQL: it is not started here.
    monkeypatch.setattr(servers, "enterable", lambda _: True)
    stack._own_folder()
    second = Stack(stack.folder, kafka="small", brokers=1, fixed_ports=False, tell=lambda _: None)
    with pytest.raises(StartError, match="already: stop it, or name another folder"):
        second._own_folder()

    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    second.folder = tmp_path / "thesis"
    with pytest.raises(StartError, match="is not empty, and was not made by"):
        second._own_folder()


def test_services_ask_the_configuration_that_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever follows the advice to set COMITY_LEDGER in a shell and starts another cluster there changes nothing."""
    monkeypatch.setenv("COMITY_LEDGER", "/elsewhere")
    monkeypatch.setenv("ELSEWHERE", "kept")
    one = service(tmp_path, 'echo "[$COMITY_LEDGER] $ELSEWHERE"')
    one.start()
    ended(one).stop()

    assert "[] kept" == one.tail()
