"""
Which topics there are, declared as data, and how a cluster comes to have them.

``declared`` reads a file such as ``topics.toml`` beside this module, strictly; ``compare`` says what a
cluster lacks of it; ``carry_out`` changes that, and only that: nothing is ever deleted, and a partition count
never changes, because a case and a signing key stay in their partitions.
"""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from kafka import errors as faults
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from ledger.errors import ComityError, Conflict, FormatError
from ledger.kafka.connection import BATCH_BYTES, explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kafka import KafkaAdminClient

PREFIX: Final = "comity"
SUBMISSIONS: Final = "comity.submissions"
REJECTIONS: Final = "comity.rejections"
ENTRIES: Final = "comity.entries"
CHECKPOINTS: Final = "comity.checkpoints"
RECEIPTS: Final = "comity.receipts."
"""What the name of a publisher's topic begins with; its id follows."""

HERE: Final = Path(__file__).with_name("topics.toml")
OPEN_RINGS: Final = ("oversight", "public")
"""Rings that an audience may be given by; who stands in the others is an authority, case by case."""

PARTITIONS_MAX: Final = 1_000
DAYS_MAX: Final = 36_500
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: *settings* as Kafka names them, *writers* and *readers* as the cluster calls them."""

    name: str
    partitions: int
    settings: Mapping[str, str]
    writers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audience:
    """Whose topic ``comity.entries.<name>`` is: those who stand in *rings*, or one authority, 16 bytes."""

    topic: str
    rings: frozenset[str] = frozenset()
    authority: bytes | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file declares; *receipts* is the pattern of every publisher's topic, *prefix* begins all names."""

    prefix: str
    replication: int
    topics: tuple[Topic, ...]
    audiences: tuple[Audience, ...]
    publishers: Mapping[bytes, tuple[str, ...]]
    ingest: tuple[str, ...]
    receipts: Topic

    def named(self, topic: str) -> str:
        """What a topic of the design is called here."""
        return _renamed(topic, self.prefix)

    def receipts_of(self, publisher: bytes) -> Topic:
        """The topic of one publisher's answers."""
        return Topic(
            self.receipts.name + str(UUID(bytes=publisher)),
            self.receipts.partitions,
            self.receipts.settings,
            (),  # ingest writes all of them, by its prefix
            self.publishers.get(publisher, ()),
        )


def _renamed(topic: str, prefix: str) -> str:
    return prefix + topic.removeprefix(PREFIX)


def declared(file: Path | None = None, *, replication: int | None = None, prefix: str = PREFIX) -> Declared:
    """
    Read a declaration; the one beside this module when None.

    Args:
        file: TOML.
        replication: copies of each partition, where it is not what the file says.
        prefix: what the names begin with on this cluster, where it is not comity.

    Raises:
        FormatError: unknown keys, or values that cannot be; file and key are named.
    """
    file = file or HERE
    try:
        return _Reader(file.name, prefix).read(tomllib.loads(file.read_text(encoding="utf-8")), replication)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{file.name}: {error}") from error


@dataclass
class _Reader:
    """Reads one file, naming it in every fault."""

    file: str
    prefix: str
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    insync: int = 1

    def read(self, data: dict[str, Any], replication: int | None) -> Declared:
        self._keys(data, "", {"defaults", "roles", "publishers", "topic", "receipts", "audience"})
        defaults = self._table(data, "defaults")
        self._keys(defaults, "defaults", {"replication", "min_insync"})
        copies = replication or self._number(defaults, "defaults", "replication", 1, 10)
        self.insync = min(self._number(defaults, "defaults", "min_insync", 1, 10), copies)
        self.roles = {
            name: self._principals(value, f"roles.{name}") for name, value in self._table(data, "roles").items()
        }
        publishers = {}
        for text, value in self._table(data, "publishers").items():
            try:
                publishers[UUID(text).bytes] = self._principals(value, f"publishers.{text}")
            except ValueError as error:
                raise self._fault(f"publishers.{text}", "is no id of an authority") from error
        self.roles["publishers"] = tuple(sorted({one for some in publishers.values() for one in some}))
        topics = [self._topic(one, f"topic.{place}") for place, one in enumerate(self._tables(data, "topic"))]
        pattern = self._table(data, "receipts")
        # Who writes and reads it, and what it is called, follows from the publisher.
        self._keys(pattern, "receipts", {"partitions", "retention_days"})
        receipts = self._topic({"name": RECEIPTS, **pattern}, "receipts")
        audiences = []
        for place, one in enumerate(self._tables(data, "audience")):
            audience, topic = self._audience(one, f"audience.{place}")
            audiences.append(audience)
            topics.append(topic)
        names = [PREFIX + one.name.removeprefix(self.prefix) for one in topics]
        for name in (SUBMISSIONS, REJECTIONS, ENTRIES, CHECKPOINTS):
            if name not in names:
                raise self._fault("topic", f"{name} is missing")
        for name in names:
            if names.count(name) > 1:
                raise self._fault("topic", f"{name} is declared twice")
            if name.startswith(RECEIPTS):
                raise self._fault("topic", f"{name} follows from its publisher; [receipts] declares all of these")
        if topics[names.index(CHECKPOINTS)].partitions != 1:
            raise self._fault("topic", f"{CHECKPOINTS} has an order, therefore one partition")
        return Declared(
            self.prefix, copies, tuple(topics), tuple(audiences), publishers, self.roles.get("ingest", ()), receipts
        )

    def _topic(self, one: dict[str, Any], where: str) -> Topic:
        self._keys(one, where, {"name", "partitions", "retention_days", "writers", "readers"})
        name = one.get("name")
        if not isinstance(name, str) or not name.startswith("comity.") or len(name) > 200:
            raise self._fault(f"{where}.name", "is no name that begins with comity.")
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(self._number(one, where, "retention_days", 1, DAYS_MAX) * DAY_MS),
            "max.message.bytes": str(BATCH_BYTES + 4_096),
            "min.insync.replicas": str(self.insync),
            "compression.type": "producer",
        }
        partitions = self._number(one, where, "partitions", 1, PARTITIONS_MAX)
        writers, readers = self._roles(one, where, "writers"), self._roles(one, where, "readers")
        return Topic(_renamed(name, self.prefix), partitions, settings, writers, readers)

    def _audience(self, one: dict[str, Any], where: str) -> tuple[Audience, Topic]:
        self._keys(
            one,
            where,
            {"name", "rings", "authority", "partitions", "retention_days", "readers"},
        )
        name, rings, authority = one.get("name"), one.get("rings"), one.get("authority")
        if not isinstance(name, str) or not name.isascii() or not name.replace("-", "").isalnum():
            raise self._fault(f"{where}.name", "is not made of letters, digits and hyphens")
        if (rings is None) == (authority is None):
            raise self._fault(where, "is given by rings, or else by an authority")
        if rings is not None and not (isinstance(rings, list) and rings and all(one in OPEN_RINGS for one in rings)):
            raise self._fault(f"{where}.rings", "may name public and oversight; the others go to an authority")
        try:
            seer = None if authority is None else UUID(authority).bytes
        except (ValueError, TypeError, AttributeError) as error:
            raise self._fault(f"{where}.authority", "is no id of an authority") from error
        given = {key: value for key, value in one.items() if key not in {"rings", "authority"}}
        topic = self._topic({**given, "name": f"{ENTRIES}.{name}", "writers": ["relay"]}, where)
        readers = tuple(sorted({*topic.readers, *self.roles.get("relay", ())}))
        audience = Audience(topic.name, frozenset(rings or ()), seer)
        return audience, Topic(topic.name, topic.partitions, topic.settings, topic.writers, readers)

    def _roles(self, one: dict[str, Any], where: str, key: str) -> tuple[str, ...]:
        found: set[str] = set()
        roles = one.get(key, [])
        if not isinstance(roles, list):
            raise self._fault(f"{where}.{key}", "is not a list of roles")
        for role in roles:
            if not isinstance(role, str) or role not in self.roles:
                raise self._fault(f"{where}.{key}", f"{role!r} is no role; there are {', '.join(self.roles)}")
            found.update(self.roles[role])
        return tuple(sorted(found))

    def _principals(self, value: Any, where: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) and one.startswith("User:") for one in value):
            raise self._fault(where, "is not a list of principals such as User:comity-relay")
        return tuple(value)

    def _number(self, one: dict[str, Any], where: str, key: str, low: int, high: int) -> int:
        value = one.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._fault(f"{where}.{key}", f"is not a number from {low:,} to {high:,}")
        return value

    def _table(self, data: dict[str, Any], key: str) -> dict[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, dict):
            raise self._fault(key, "is not a table")
        return value

    def _tables(self, data: dict[str, Any], key: str) -> list[dict[str, Any]]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self._fault(key, "is not a list of tables")
        return value

    def _keys(self, one: dict[str, Any], where: str, known: set[str]) -> None:
        if unknown := one.keys() - known:
            raise self._fault(
                f"{where}.{min(unknown)}".lstrip("."), f"is unknown; there are {', '.join(sorted(known))}"
            )

    def _fault(self, where: str, what: str) -> FormatError:
        return FormatError(what, field=f"{self.file}: {where}")


# --- what a cluster has ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """
    One difference between what is declared and what a cluster has.

    Attributes:
        verb: ``create`` a topic, ``set`` a setting, ``allow`` something to a principal; or ``extra``: an
            ACL that nobody declared, which stays; ``skip``: what this cluster cannot do.
        what: the topic, or the ACL in words.
        detail: from what to what.
    """

    verb: str
    what: str
    detail: str = ""
    made: Any = field(default=None, repr=False, compare=False)


def compare(
    admin: KafkaAdminClient, wanted: Declared, publishers: Iterable[bytes] = (), *, acls: bool = True
) -> list[Change]:
    """
    Return what the cluster lacks of what is declared, in the order in which it is to be made.

    Args:
        admin: of the cluster.
        wanted: what is declared.
        publishers: whose topics of receipts are wanted, besides those declared.
        acls: whether to look at who may do what.

    Raises:
        Conflict: a topic has another number of partitions.
    """
    topics = [
        *wanted.topics,
        *(wanted.receipts_of(one) for one in sorted({*wanted.publishers, *publishers})),
    ]
    with explained():
        present = {one["name"]: one for one in admin.describe_topics() if one["error_code"] == 0}
    changes = [_creation(one, wanted.replication) for one in topics if one.name not in present]
    there = [one for one in topics if one.name in present]
    for one in there:
        found = len(present[one.name]["partitions"])
        if found != one.partitions:
            raise Conflict(
                f"{one.name} has {found} partitions, not {one.partitions}",
                why="what has a key stays in its partition, so their number never changes",
                what_now=f"declare {found}; or give the topic up and let the relay fill a new one from the log",
            )
    if there:
        with explained():
            told = admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, one.name) for one in there], config_filter="all"
            )["topic"]
        for one in there:
            for name, value in one.settings.items():
                has = told.get(one.name, {}).get(name, {}).get("value")
                if has != value:
                    changes.append(Change("set", one.name, f"{name} from {has} to {value}", (one.name, name, value)))
    return changes + (_compare_acls(admin, topics, wanted) if acls else [])


def _creation(one: Topic, replication: int) -> Change:
    days = int(one.settings["retention.ms"]) // DAY_MS
    return Change("create", one.name, f"{one.partitions} partitions, {replication} copies, kept {days} days", one)


def _acl(principal: str, kind: ResourceType, name: str, doing: ACLOperation, *, prefix: bool = False) -> ACL:
    how = ACLResourcePatternType.PREFIXED if prefix else ACLResourcePatternType.LITERAL
    return ACL(principal, "*", doing, ACLPermissionType.ALLOW, ResourcePattern(kind, name, how))


def _acls(topics: Iterable[Topic], wanted: Declared) -> list[ACL]:
    """Everything that is to be allowed."""
    found = []
    for one in topics:
        for who in one.writers:
            found += [
                _acl(who, ResourceType.TOPIC, one.name, doing) for doing in (ACLOperation.WRITE, ACLOperation.DESCRIBE)
            ]
        for who in one.readers:
            found += [
                _acl(who, ResourceType.TOPIC, one.name, doing) for doing in (ACLOperation.READ, ACLOperation.DESCRIBE)
            ]
            found.append(_acl(who, ResourceType.GROUP, f"{one.name}/", ACLOperation.READ, prefix=True))
    for who in wanted.ingest:
        found += [
            _acl(who, ResourceType.TOPIC, wanted.receipts.name, doing, prefix=True)
            for doing in (ACLOperation.WRITE, ACLOperation.DESCRIBE, ACLOperation.CREATE)
        ]
    return list({_words(one): one for one in found}.values())


def _words(one: ACL) -> str:
    pattern = one.resource_pattern
    end = "*" if pattern.pattern_type == ACLResourcePatternType.PREFIXED else ""
    return (
        f"{one.principal} {one.permission_type.name.lower()} {one.operation.name.lower()} "
        f"{pattern.resource_type.name.lower()} {pattern.resource_name}{end}"
    )


def _compare_acls(admin: KafkaAdminClient, topics: list[Topic], wanted: Declared) -> list[Change]:
    declared_acls = {_words(one): one for one in _acls(topics, wanted)}
    try:
        found, _ = admin.describe_acls(
            ACLFilter(
                None,
                None,
                ACLOperation.ANY,
                ACLPermissionType.ANY,
                ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
            )
        )
    except (faults.SecurityDisabledError, faults.UnsupportedVersionError, faults.KafkaConnectionError) as error:
        return [Change("skip", "all ACLs", f"this cluster judges nobody ({type(error).__name__})")]
    except faults.KafkaError:
        with explained():
            raise
    present = {_words(one) for one in found}
    changes = [Change("allow", words, made=one) for words, one in declared_acls.items() if words not in present]
    # What others were allowed on our topics is shown, and left to whoever allowed it.
    changes += [
        Change("extra", _words(one))
        for one in found
        if one.resource_pattern.resource_name.startswith(f"{wanted.prefix}.") and _words(one) not in declared_acls
    ]
    return changes


def carry_out(admin: KafkaAdminClient, changes: Iterable[Change], replication: int) -> None:
    """
    Make what ``compare`` found missing; doing it twice is harmless.

    Raises:
        ComityError: the cluster did not do it; what came before it is done.
    """
    todo = list(changes)
    creations = [one.made for one in todo if one.verb == "create"]
    for topic in creations:
        make(admin, topic, replication)
    settings: dict[str, dict[str, str]] = {}
    for one in todo:
        if one.verb == "set":
            name, setting, value = one.made
            settings.setdefault(name, {})[setting] = value
    with explained(sorted(settings)):
        if settings:
            told = admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, name, configs) for name, configs in settings.items()]
            )
            # What a cluster does not take is no exception of the client.
            for name, answer in told.get("topic", {}).items():
                if answer != "OK":
                    raise ComityError(
                        f"the settings of {name} were not changed",
                        why=str(answer)[:300],
                        what_now="look whether this user may alter configurations, and what the cluster's policy takes",
                    )
        allowed = [one.made for one in todo if one.verb == "allow"]
        if allowed:
            failed = admin.create_acls(allowed)["failed"]
            if failed:
                raise failed[0]


def make(admin: KafkaAdminClient, topic: Topic, replication: int) -> None:
    """Create a topic, unless somebody just did."""
    with explained([topic.name]):
        with suppress(faults.TopicAlreadyExistsError):
            admin.create_topics(
                {
                    topic.name: {
                        "num_partitions": topic.partitions,
                        "replication_factor": replication,
                        "configs": dict(topic.settings),
                    }
                }
            )
        admin.wait_for_topics([topic.name])
