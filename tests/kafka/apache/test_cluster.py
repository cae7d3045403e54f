"""On Apache Kafka: who may do what, over TLS with SCRAM; and brokers that die while relay and ingest work."""

from __future__ import annotations

import datetime as dt
import ipaddress
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ledger.configuration import KafkaSection
from ledger.errors import Denied, NotFound, Unavailable
from ledger.kafka import wire
from ledger.kafka.connection import Connection
from ledger.kafka.relay import Relay, sources
from ledger.kafka.topics import ENTRIES, SUBMISSIONS, carry_out, compare, declared
from ledger.statement import Signed, decode_entry
from tests.kafka.brokers import ApacheKafka
from tests.kafka.conveyor import TOPICS, Conveyor
from tests.town import DE_PROSECUTOR, FR_PROSECUTOR, check_everything, found
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORDS = {name: f"{name}-in-secret" for name in ("admin", "relay", "ingest", "berlin", "stranger")}


def _certificates(folder: Path) -> None:
    """An authority, and a certificate of it for 127.0.0.1: ``ca.pem``, and ``server.pem`` with its key."""
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
    authority = ec.generate_private_key(ec.SECP256R1())
    server = ec.generate_private_key(ec.SECP256R1())

    def made(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(authority, hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(made(name, authority, ca=True).public_bytes(pem))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    key = server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(key + made(subject, server, ca=False).public_bytes(pem))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApacheKafka, Path]]:
    """A broker that speaks TLS alone, knows its users by SCRAM, and lets them do what they were allowed."""
    folder = tmp_path_factory.mktemp("guarded")
    _certificates(folder)
    for name, password in PASSWORDS.items():
        (folder / name).write_text(password + "\n")
        (folder / name).chmod(0o600)
    login = (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="admin" password="{PASSWORDS["admin"]}";'
    )
    made = ApacheKafka(
        settings={
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(folder / "ca.pem"),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",
        },
        listener="SASL_SSL",
        scram=PASSWORDS,
        folder=tmp_path_factory.mktemp("broker"),
    )
    yield made, folder
    made.remove()


def _as(guarded: tuple[ApacheKafka, Path], user: str, **other: str) -> Connection:
    broker, folder = guarded
    section = {
        "ca_file": str(folder / "ca.pem"),
        "mechanism": "SCRAM-SHA-512",
        "username": user,
        "password_file": str(folder / user),
        **other,
    }
    return Connection(KafkaSection(bootstrap=(broker.bootstrap,), tls=True, request_ms=5_000, **section))


def test_everybody_may_do_what_is_declared_and_nothing_else(guarded: tuple[ApacheKafka, Path], tmp_path: Path):
    """The relay relays, the ingest takes and answers, a publisher submits; none of them does another's work."""
    town = found(tmp_path / "ledger")
    file = tmp_path / "topics.toml"
    file.write_text(
        TOPICS.replace("[publishers]", f'[publishers]\n"{DE_PROSECUTOR.authority.hex()}" = ["User:berlin"]')
    )
    wanted = declared(file)
    with _as(guarded, "admin").admin() as admin:
        changes = compare(admin, wanted)
        carry_out(admin, changes, 1)
        assert [] == compare(admin, wanted)
    here = Conveyor(town, guarded[0].bootstrap, "comity", tmp_path)
    here.file.write_text(file.read_text())

    here.connection = _as(guarded, "relay")
    assert here.relay() > town.store.size()
    signed = town.signed(town.opening("a case"), DE_PROSECUTOR)
    with _as(guarded, "berlin").producer() as producer:
        producer.send(SUBMISSIONS, wire.pack_submission(signed), DE_PROSECUTOR.key.id)
        producer.flush()
        refused = producer.send(ENTRIES, b"forged", b"key")
        producer.flush()
        assert "Authorization" in type(refused.exception).__name__
    here.connection = _as(guarded, "ingest")
    assert 1 == here.ingest().count.recorded
    # A topic that somebody may not see is not there for him.
    with pytest.raises((Denied, NotFound)) as denied:
        here.relay()
    assert "topics apply" in denied.value.what_now
    here.connection = _as(guarded, "stranger")
    with pytest.raises((Denied, NotFound)):
        here.ingest()
    assert {"create", "allow"} == {one.verb for one in changes}
    town.ledger.close()


def test_a_wrong_password_is_said_to_be_one(guarded: tuple[ApacheKafka, Path], tmp_path: Path):
    """Who is not known to the cluster is told what to check, and the password is not repeated."""
    (tmp_path / "wrong").write_text("not the password")
    with (
        pytest.raises((Denied, Unavailable)) as denied,
        _as(guarded, "relay", password_file=str(tmp_path / "wrong")).admin(),
    ):
        pass

    assert "kafka.mechanism" in denied.value.what_now
    assert "not the password" not in f"{denied.value.what} {denied.value.why}"


def test_a_broker_of_another_authority_is_not_spoken_to(guarded: tuple[ApacheKafka, Path], tmp_path: Path):
    """A certificate that the trusted authority did not sign ends the connection."""
    _certificates(tmp_path)
    with pytest.raises(Unavailable), _as(guarded, "relay", ca_file=str(tmp_path / "ca.pem")).admin():
        pass


def test_brokers_that_die_lose_nothing(tmp_path: Path):
    """Three brokers, each killed or halted in turn while statements come: all are recorded, relayed, answered."""
    stop = threading.Event()
    cluster = ApacheKafka(3)
    town = found(tmp_path / "ledger")
    try:
        with Conveyor(town, cluster.bootstrap, "comity", tmp_path) as here:
            copies = TOPICS.replace("replication = 1", "replication = 3")
            here.file.write_text(copies.replace("min_insync = 1", "min_insync = 2"))
            with here.connection.admin() as admin:
                carry_out(admin, compare(admin, here.declared, acls=False), 3)
            relay = Relay(town.store, here.connection, sources(town.store, here.declared))
            ingest = here.ingesting(round_size_max=16, early_ms_max=60_000)
            running = [threading.Thread(target=one.run, args=(stop,)) for one in (relay, ingest)]
            for one in running:
                one.start()
            sent: list[Signed] = []

            def nearly() -> bool:
                return len(_statements(here)) >= len(sent) - 40

            for number in range(3):
                for by in (DE_PROSECUTOR, FR_PROSECUTOR):
                    some = [
                        town.signed(town.opening(f"{by.authority.hex()} {number} {place}"), by) for place in range(20)
                    ]
                    here.send(*some)
                    sent += some
                if number == 1:
                    cluster.send(signal.SIGSTOP, number)
                    until(nearly, 120)
                    cluster.send(signal.SIGCONT, number)
                else:
                    cluster.stop(number)
                    until(nearly, 120)
                    cluster.start(number)
            until(lambda: len(_statements(here)) == len(sent), 120)
            size = town.store.size()
            until(lambda: len(here.entries()) == size, 120)
            stop.set()
            for one in running:
                one.join(120)

            assert not any(one.is_alive() for one in running)
            assert sorted(one.statement for one in sent) == sorted(_statements(here))
            here.check_entries()
            for by in (DE_PROSECUTOR, FR_PROSECUTOR):
                mine = {one.statement[:16] for one in sent if wire.publisher_of(one.statement) == by.authority}
                answers = here.answers(by.authority)
                assert mine == {one.statement_id for one in answers if one.outcome == "accepted"}
            check_everything(town.ledger)
    finally:
        stop.set()
        cluster.remove()
        town.ledger.close()


def _statements(here: Conveyor) -> list[bytes]:
    return [decode_entry(data).statement for _, data in here.town.store.entries(5, 1_000)]
