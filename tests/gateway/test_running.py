"""The gateway as a process: it is configured, listens, and leaves in order."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ledger.configuration import GatewaySection
from ledger.gateway.http import Bounds
from ledger.gateway.running import bounds_of
from tests.gateway.asking import HEAD, ROOT, everything, process
from tests.town import found

if TYPE_CHECKING:
    from pathlib import Path


def test_every_bound_of_the_server_is_a_key_of_the_configuration():
    """Their defaults agree, so that what the manual says is what holds."""
    assert Bounds() == bounds_of(GatewaySection())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine's own address, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    (folder / "key.pem").chmod(0o600)
    return folder / "cert.pem", folder / "key.pem"


def test_the_command_serves_over_tls_until_it_is_told_to_stop(tmp_path, certificate):
    """A real process: TLS 1.2 or newer and nothing else; SIGTERM ends it in order, with status 0."""
    town = found(tmp_path / "ledger")
    newest = town.ledger.checkpoint()
    town.ledger.close()
    # The process takes the system's clock, which only a log that is later than it could trouble.
    cert, key = certificate
    variables = {"COMITY_GATEWAY_TLS_CERTIFICATE": str(cert), "COMITY_GATEWAY_TLS_KEY": str(key)}
    with process(["serve", "--ledger", town.ledger.folder, "--listen", "127.0.0.1:0"], **variables) as (run, where):
        port = int(where.rpartition(":")[2])
        link = http.client.HTTPSConnection(
            "localhost", port, timeout=20, context=ssl.create_default_context(cafile=str(cert))
        )
        link.request("GET", "/checkpoint")
        assert newest == link.getresponse().read()
        assert (link.sock.version() or "") >= "TLSv1.2"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            plain.sendall(HEAD + b"\r\n")
            assert b"checkpoint" not in everything(plain)
        run.send_signal(signal.SIGTERM)
        assert 0 == run.wait(20)


def test_two_gateways_cannot_listen_at_one_address(tmp_path):
    """The second says so, and ends with the status of what is not available."""
    town = found(tmp_path / "ledger")
    town.ledger.close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "ledger.cli", "serve", "--ledger", town.ledger.folder,
             "--listen", f"127.0.0.1:{taken.getsockname()[1]}"],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert 8 == done.returncode
    assert "nobody can listen" in done.stderr
