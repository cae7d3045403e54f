"""
How a Kafka cluster is reached, and what its errors mean.

Secrets are files, read when a client is made.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as faults

from ledger.errors import ComityError, Denied, FormatError, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.configuration import KafkaSection

BATCH_BYTES: Final = 1 << 20
"""What a producer collects for one partition before it must send."""

BACKOFF_SECONDS: Final = (0.5, 10.0)
"""How long whoever was interrupted waits before he begins anew: at first, and at most."""

_PASSING: Final = (
    faults.CommitFailedError,
    faults.IllegalGenerationError,
    faults.InvalidProducerEpochError,
    faults.OutOfOrderSequenceNumberError,
    faults.RebalanceInProgressError,
    faults.UnknownMemberIdError,
    faults.UnknownProducerIdError,
)
"""What ends a client for good, and no other that is made anew."""


class Connection:
    """The way to one cluster, as the section ``[kafka]`` of the configuration describes it."""

    def __init__(self, section: KafkaSection) -> None:
        """
        Describe the way; nothing is connected yet.

        Args:
            section: brokers, encryption, and the files of secrets.

        Raises:
            FormatError: no broker is named, or not as host:port.
        """
        if not section.bootstrap:
            raise FormatError("names no broker; give host:port of some", field="kafka.bootstrap")
        for one in section.bootstrap:
            if not one.rpartition(":")[2].isdigit():
                raise FormatError(f"{one[:80]!r} is not host:port", field="kafka.bootstrap")
        self._section = section

    @property
    def request_ms(self) -> int:
        """How long one request may take, milliseconds."""
        return self._section.request_ms

    def _options(self) -> dict[str, Any]:
        chosen = self._section
        options: dict[str, Any] = {
            "bootstrap_servers": list(chosen.bootstrap),
            "client_id": "comity",
            "request_timeout_ms": chosen.request_ms,
            # One of them may be there and say nothing: then the others are still asked.
            "bootstrap_timeout_ms": chosen.request_ms * (len(chosen.bootstrap) + 1),
            "security_protocol": ("SASL_" if chosen.mechanism else "") + ("SSL" if chosen.tls else "PLAINTEXT"),
        }
        if chosen.tls:
            options |= {"ssl_cafile": chosen.ca_file or None, "ssl_check_hostname": True}
            if chosen.certificate_file:
                options |= {"ssl_certfile": chosen.certificate_file, "ssl_keyfile": chosen.key_file}
            if chosen.key_password_file:
                options["ssl_password"] = _secret(chosen.key_password_file)
        if chosen.mechanism:
            options |= {
                "sasl_mechanism": chosen.mechanism,
                "sasl_plain_username": chosen.username,
                "sasl_plain_password": _secret(chosen.password_file),
            }
        return options

    @contextmanager
    def producer(self) -> Iterator[KafkaProducer]:
        """
        Make an idempotent producer that sends when it is flushed.

        A batch that cannot be delivered within two requests' time fails, and with it the flush.
        """
        with explained():
            made = KafkaProducer(
                **self._options(),
                metrics_enabled=False,
                enable_idempotence=True,
                acks="all",
                allow_auto_create_topics=False,
                batch_size=BATCH_BYTES,
                max_request_size=BATCH_BYTES,
                linger_ms=self._section.request_ms // 2,
                delivery_timeout_ms=2 * self._section.request_ms,
                max_block_ms=self._section.request_ms,
            )
        try:
            yield made
        finally:
            _close(made)

    def deliver(self, producer: KafkaProducer) -> None:
        """
        Wait until everything sent is acknowledged or has failed; which of it did, its futures say.

        Raises:
            kafka.errors.KafkaTimeoutError: in three requests' time neither came about. When one batch expires,
                kafka-python 3.0 has been seen never to send another that was on its way, nor to fail it: the
                producer has to be made anew.
        """
        producer.flush(timeout=3 * self._section.request_ms / 1_000)

    @contextmanager
    def consumer(self, group: str | None = None, **options: Any) -> Iterator[KafkaConsumer]:
        """Make a consumer that begins at the beginning and never says of itself how far it is."""
        with explained():
            made = KafkaConsumer(
                **self._options(),
                metrics_enabled=False,
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                **options,
            )
        try:
            yield made
        finally:
            with suppress(faults.KafkaError):  # otherwise it leaves its group when its session ends
                made.close(timeout_ms=5_000)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """Make a client that creates and describes."""
        with explained():
            made = KafkaAdminClient(**self._options())
        try:
            yield made
        finally:
            made.close()


def missing(topic: str) -> NotFound:
    """Return the error of a topic that a cluster does not show."""
    return NotFound(
        f"there is no topic {topic}",
        why="it was not created, or this user may not see it",
        what_now="create and allow it: `comity topics apply`, as an administrator of the cluster",
    )


def track(producer: KafkaProducer, topic: str) -> None:
    """
    Keep a topic among those whose leaders a producer asks for; to be called before the first message to it.

    A producer of kafka-python 3.0 takes a topic that was in its very first look at the cluster for known, and
    does not ask for it again: after the next look, it waits for the leader for ever.
    """
    producer._sender.add_topic(topic)  # noqa: SLF001 -- no public way; `partitions_for` has the same fault


def _close(producer: KafkaProducer) -> None:
    """
    Close; what is not acknowledged is sent again by whoever comes next.

    Whoever cannot deliver in time does not close, says so, and keeps its thread and its connections for ever: a long
    outage would gather them. That thread is ended by force.
    """
    try:
        producer.close(timeout=5)
    except faults.KafkaError:
        sender = producer._sender  # noqa: SLF001 -- there is no other way to end it
        sender.force_close()
        sender.join(5)
        producer._closed = True  # noqa: SLF001 -- else it waits once more when it is collected


def _secret(path: str) -> str:
    """Return the one line of a file that holds a secret."""
    return Path(path).read_text(encoding="utf-8").rstrip("\n")


@contextmanager
def explained(topics: Sequence[str] = ()) -> Iterator[None]:
    """
    Say of Kafka's errors what happened, why, and what to do now.

    Args:
        topics: those in question, to be named.

    Raises:
        Denied: the cluster does not know this user, or does not let him.
        NotFound: a topic does not exist.
        Unavailable: no broker can be reached or answers; trying again helps.
        ComityError: anything else that Kafka says.
    """
    named = f" ({', '.join(topics)})" if topics else ""
    try:
        yield
    except faults.SaslAuthenticationFailedError as error:
        raise Denied(
            "the Kafka cluster did not accept this user",
            why=said(error),
            what_now="check kafka.mechanism, kafka.username and kafka.password_file, and that the user was created",
        ) from error
    except faults.AuthorizationError as error:
        raise Denied(
            f"the Kafka cluster does not let this user do it{named}",
            why=said(error),
            what_now="apply the ACLs: `comity topics apply`, as an administrator of the cluster",
        ) from error
    except (faults.UnknownTopicOrPartitionError, faults.UnknownTopicIdError) as error:
        raise NotFound(
            f"a topic does not exist, or this user may not see it{named}",
            why=said(error),
            what_now="create and allow it: `comity topics apply`",
        ) from error
    except (
        faults.KafkaConnectionError,
        faults.KafkaTimeoutError,
        faults.NodeNotReadyError,
    ) as error:
        raise Unavailable(
            "no broker of the Kafka cluster answers",
            why=said(error),
            what_now="check kafka.bootstrap, kafka.tls and kafka.mechanism; what was not acknowledged is sent again",
        ) from error
    except faults.KafkaError as error:
        if error.retriable:
            raise Unavailable(f"Kafka could not do it now{named}", why=said(error)) from error
        raise ComityError(f"Kafka could not do it{named}", why=said(error)) from error


def passing(error: Unavailable | faults.KafkaError) -> bool:
    """Whether clients that are made anew may succeed where these failed."""
    return isinstance(error, (Unavailable, *_PASSING)) or bool(getattr(error, "retriable", False))


def said(error: BaseException) -> str:
    """Return an error in one line, at most 300 characters of what Kafka says."""
    if isinstance(error, ComityError):
        return f"{error.what}: {error.why}"
    return f"{type(error).__name__}: {error}"[:300]
