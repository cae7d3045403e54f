"""
Playing scenarios: what they say, published into a ledger on a simulated log clock.

Playing founds a ledger and publishes every statement through the real publishing path. Keys and ids
are derived from the origin and the slugs, so two plays give the same root; and anybody can derive
them, so the origin must say that it is a simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ledger.errors import FormatError, NotFound, NotPermitted
from ledger.keys import LogKeys, PrivateKey, Signer
from ledger.ledger import SIMULATION, Ledger, Receipt, Root, system_clock
from ledger.scenarios.file import (
    HOUR,
    SECOND,
    Cast,
    Holder,
    Names,
    Said,
    Scenario,
    derived,
    enrolment,
    identity,
    midnight,
)
from ledger.statement import Draft, Speaker, Visibility
from ledger.verify import endorsement_message, possession_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["ORIGIN", "Published", "Simulation", "begin", "play"]

ORIGIN: Final = "ledger.comity.example/simulation"
"""The origin under which scenarios are played unless another is given."""

_ADMITTED_AT: Final = 6 * HOUR
_ENROLLED_AT: Final = 7 * HOUR


class _Clock:
    """The simulated log clock: it stands still until it is set."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Published(NamedTuple):
    """A statement of a scenario and the log's answer to it."""

    scenario: str
    said: Said
    receipt: Receipt


@dataclass
class _Told:
    """What a simulation remembers of its play."""

    names: dict[str, bytes] = field(default_factory=dict)
    published: list[Published] = field(default_factory=list)


class Simulation(Ledger):
    """
    A ledger that scenarios were played into.

    The ids of its statements are drawn from a stream that its origin determines, so that they are
    the same in every play.
    """

    _drawn = 0
    _told: _Told | None = None

    @property
    def told(self) -> _Told:
        """Slugs with their ids, and every statement played with its receipt."""
        if self._told is None:
            self._told = _Told()
        return self._told

    def named(self, slug: str) -> bytes:
        """The 16-byte id of an authority, thing, person or condition; NotFound for another slug."""
        found = self.told.names.get(slug)
        if found is None:
            raise NotFound(f"the scenarios played have no {slug!r}", what_now="see their files")
        return found

    def labelled(self, label: str) -> Receipt:
        """The receipt of the first statement of that label; NotFound if there is none."""
        for published in self.told.published:
            if published.said.label == label:
                return published.receipt
        raise NotFound(f"the scenarios played have no label {label!r}", what_now="see their files")

    def _randomness(self) -> bytes:
        self._drawn += 1
        return derived(self.origin, "draw", str(self._drawn))[:10]


class _Due(NamedTuple):
    """Something to publish: when, its place among what is due then, and what it is."""

    at: int
    place: int
    what: Holder | Cast | tuple[Scenario, Said]


def play(
    scenarios: Scenario | Sequence[Scenario],
    folder: Path,
    *,
    origin: str = ORIGIN,
) -> Simulation:
    """
    Found a ledger in *folder* and publish the scenarios into it, in the order of the log clock.

    Several scenarios share one log: roots and authorities that both name must be the same in both.
    The keys of the authorities are left in ``keys/``, so that the story can be continued.

    Args:
        scenarios: one or several.
        folder: holds no ledger yet.
        origin: must end in ``/simulation``.

    Returns:
        The ledger, open; whoever plays it closes it.

    Raises:
        NotPermitted: the origin does not say that it is a simulation.
        FormatError: two scenarios contradict each other.
        Rejected, Refused: the ledger did not accept a statement; nothing after it was published.

    Cost: about 10 ms a statement.
    """
    return _player(scenarios, folder, origin).play()


def begin(scenarios: Scenario | Sequence[Scenario], folder: Path, *, store: str, origin: str = ORIGIN) -> Simulation:
    """
    Found the ledger of ``play`` in a PostgreSQL database, by the real clock, and publish nothing.

    What ``play`` signs elsewhere under the same origin can be published into it, by whatever way. The keys of
    operator and roots are left in ``keys/``.

    Args:
        scenarios: one or several.
        folder: holds no ledger yet.
        store: ``postgresql://...``.
        origin: must end in ``/simulation``.

    Raises:
        NotPermitted: the origin does not say that it is a simulation.
        Conflict: folder or database hold a ledger.
    """
    return _player(scenarios, folder, origin).begin(store)


def _player(scenarios: Scenario | Sequence[Scenario], folder: Path, origin: str) -> _Player:
    if not origin.endswith(SIMULATION):
        raise NotPermitted(
            f"{origin} is not a simulation",
            why="the keys of a scenario can be derived by anybody, and its clock is not a clock",
            what_now=f"choose an origin that ends in {SIMULATION}",
        )
    together = [scenarios] if isinstance(scenarios, Scenario) else list(scenarios)
    holders: dict[str, Holder] = _joined(together, "root", [s.holders for s in together])
    cast: dict[str, Cast] = _joined(together, "authority", [s.cast for s in together])
    _apart(together)
    return _Player(together, holders, cast, folder, origin)


def _joined(scenarios: Sequence[Scenario], what: str, tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for scenario, table in zip(scenarios, tables, strict=True):
        for slug, row in table.items():
            if found.setdefault(slug, row) != row:
                raise FormatError(
                    "is described otherwise in another scenario", field=f"{scenario.name}.toml: {what}.{slug}"
                )
    return found


def _apart(scenarios: Sequence[Scenario]) -> None:
    owners: dict[str, str] = {}
    for scenario in scenarios:
        for slug, item in scenario.items.items():
            owner = owners.setdefault(slug, scenario.name)
            if owner != scenario.name:
                raise FormatError(
                    f"{owner}.toml has a thing of this name; scenarios share authorities only",
                    field=f"{scenario.name}.toml: {item.kind}.{slug}",
                )


class _Player:
    """Plays scenarios into one ledger."""

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        holders: Mapping[str, Holder],
        cast: Mapping[str, Cast],
        folder: Path,
        origin: str,
    ) -> None:
        self._scenarios = scenarios
        self._holders = holders
        self._cast = cast
        self._folder = folder
        self._origin = origin
        self._labels: dict[str, dict[str, bytes]] = {scenario.name: {} for scenario in scenarios}
        self._ledger_id = identity(origin, "ledger", "ledger")

    def play(self) -> Simulation:
        founded = min(scenario.founded for scenario in self._scenarios)
        clock = _Clock(founded)
        founding = [holder for holder in self._holders.values() if holder.admitted is None]
        ledger = self._found(founding, clock)
        try:
            for due in sorted(self._due(founded), key=lambda due: due[:2]):
                clock.now = due.at
                self._publish(ledger, founding, due.what)
        except BaseException:
            ledger.close()
            raise
        self._tell(ledger)
        return ledger

    def begin(self, store: str) -> Simulation:
        founding = [holder for holder in self._holders.values() if holder.admitted is None]
        ledger = self._found(founding, system_clock, store)
        keys = self._folder / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        for name, signer in [
            ("operator", self._signer("operator", "operator")),
            *((f"root-{one.slug}", self._signer("root", one.slug)) for one in self._holders.values()),
        ]:
            signer.key.save(keys / f"{name}.pem")
        return ledger

    def _found(self, founding: Sequence[Holder], clock: Callable[[], int], store: str | None = None) -> Simulation:
        ledger = Simulation.found(
            self._folder,
            origin=self._origin,
            operator=self._signer("operator", "operator"),
            roots=[
                Root.of(holder.slug, self._signer("root", holder.slug), self._origin, holder.enrolls)
                for holder in founding
            ],
            store=store,
            log_keys=LogKeys.from_seed(derived(self._origin, "log", "keys")),
            clock=clock,
            ledger_id=self._ledger_id,
        )
        assert isinstance(ledger, Simulation)
        return ledger

    def _due(self, founded: int) -> Iterator[_Due]:
        place = 0
        for holder in self._holders.values():
            if holder.admitted is not None:
                yield _Due(midnight(holder.admitted) + _ADMITTED_AT, place, holder)
                place += 1
        for cast in self._cast.values():
            place += 1
            at = founded + place * SECOND if cast.enrolled is None else midnight(cast.enrolled) + _ENROLLED_AT
            yield _Due(at, place, cast)
        for scenario in self._scenarios:
            for said in scenario.statements:
                place += 1
                yield _Due(said.recorded, place, (scenario, said))

    def _publish(
        self, ledger: Simulation, founding: Sequence[Holder], what: Holder | Cast | tuple[Scenario, Said]
    ) -> None:
        if isinstance(what, Holder):
            draft, signer = self._admission(ledger, founding, what)
            ledger.publish(draft, signer)
        elif isinstance(what, Cast):
            draft, signer = self._enrolment(ledger, what)
            ledger.publish(draft, signer)
        else:
            scenario, said = what
            receipt = ledger.publish(self._draft(ledger, scenario, said), self._signer("authority", said.by))
            ledger.told.published.append(Published(scenario.name, said, receipt))
            if said.label is not None:
                self._labels[scenario.name][said.label] = receipt.statement_id

    def _signer(self, kind: str, slug: str) -> Signer:
        key = PrivateKey.from_seed(derived(self._origin, "key", f"{kind}/{slug}"))
        return Signer(identity(self._origin, kind, slug), key)

    def _roster(self, ledger: Simulation, act: str, subject: bytes, body: dict[str, Any], zone: str) -> Draft:
        return Draft(
            act=act,
            case=self._ledger_id,
            subject=subject,
            body=body,
            occurred_from=ledger.clock(),
            occurred_until=ledger.clock(),
            zone=zone,
            visibility=Visibility("public"),
        )

    def _admission(self, ledger: Simulation, founding: Sequence[Holder], holder: Holder) -> tuple[Draft, Signer]:
        root = self._signer("root", holder.slug)
        endorsement = endorsement_message(self._origin, root.authority, root.key.public)
        endorsers = [self._signer("root", other.slug) for other in founding]
        body = {
            "holder": holder.slug,
            "authority": root.authority,
            "public_key": root.key.public,
            "possession": root.key.sign(possession_message(self._origin, root.authority, root.key.public)),
            "enrolls": holder.enrolls,
            "endorsements": [
                {"root": other.authority, "signature": other.key.sign(endorsement)} for other in endorsers
            ],
        }
        draft = self._roster(ledger, "root.admitted", self._ledger_id, body, holder.zone)
        return draft, self._signer("operator", "operator")

    def _enrolment(self, ledger: Simulation, cast: Cast) -> tuple[Draft, Signer]:
        member = self._signer("authority", cast.slug)
        public = possession = None
        if cast.key:
            public = member.key.public
            possession = member.key.sign(possession_message(self._origin, member.authority, public))
        body = enrolment(cast, public, possession)
        draft = self._roster(ledger, "authority.enrolled", member.authority, body, cast.zone)
        if cast.enrolled_by is not None:
            return draft, self._signer("authority", cast.enrolled_by)
        return draft, self._signer("root", cast.holder)

    def _draft(self, ledger: Simulation, scenario: Scenario, said: Said) -> Draft:
        labels = self._labels[scenario.name]
        names = Names(self._origin, scenario.cast, scenario.items, labels)
        return Draft(
            act=said.act,
            case=identity(self._origin, "case", said.subject.case),
            subject=names.item(said.subject.slug),
            body=names.body(ledger.catalogue, said),
            occurred_from=said.occurred_from,
            occurred_until=said.occurred_until,
            zone=said.zone,
            kind=said.kind,
            occurred_confirmed=said.confirmed,
            voice=said.voice,
            speaker=_speaker(names, said),
            addressees=tuple(names.authority(slug) for slug in said.addressees),
            visibility=Visibility(said.visibility),
            proceedings=tuple(names.item(slug) for slug in said.proceedings),
            basis=said.basis,
            answers=tuple(labels[label] for label in said.answers),
        )

    def _tell(self, ledger: Simulation) -> None:
        """Leave the keys for whoever continues the story, and the names for whoever tells it."""
        keys = self._folder / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        for cast in self._cast.values():
            signer = self._signer("authority", cast.slug)
            ledger.told.names[cast.slug] = signer.authority
            if cast.key:
                signer.key.save(keys / f"{cast.slug}.pem")
        for scenario in self._scenarios:
            for item in scenario.items.values():
                ledger.told.names[item.slug] = identity(self._origin, item.kind, item.slug)


def _speaker(names: Names, said: Said) -> Speaker | None:
    if said.speaker is None:
        return None
    mandate = None if said.mandate is None else names.labels[said.mandate]
    if isinstance(said.speaker, str):
        return Speaker(authority=names.authority(said.speaker), mandate=mandate, source=said.source)
    return Speaker(country=said.speaker["country"], authority_kind=said.speaker["kind"], source=said.source)
