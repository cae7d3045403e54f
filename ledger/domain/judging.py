"""
What the ledger accepts, and what it flags.

**Rejected** is only what cannot be true of the record: somebody speaking for another, a subject
created twice or missing, an answer or reference to what does not exist or was rejected or is of
another kind, a value outside its code list. **Accepted and flagged** is what happened but should
not have, or what the log learns in another order than it happened.

Nobody speaks for another in his own voice
------------------------------------------
An act's schema says who may say it (``by``): kinds of authority, or roles in the thing.

- A *kind* (court, prosecutor...) is the kind under which the roster has the speaker.
- *requesting* is the authority that issued the request.
- *requested* is an authority named in the request, in its transmission or in a forwarding, or one
  that received it. To have received or acknowledged a request is said by any authority of the
  requested State, because the forwarding may not be recorded yet; if it was not named, it is
  flagged.
- A kind named beside *requesting* or *requested* (a central authority) speaks for its own State.
  Handing over a person, or a remedy, belongs to the request that it names; where it names none, no
  side is known and nobody can be shown to speak for it.
- *addressee* and *notified* are named by the statement that is answered, or of the same State.
- An act of a court that names its court is said by that court.
- *recipient* of a disclosure is one to whom it was made.
- *holder* and *recipient* of an exhibit, a person or a file are flagged, not rejected: each says
  only that he himself gave or took, and the other half may come late. Both halves are compared by
  provenance.
- *member* is a member of the joint team; flagged, since it may have joined before the log knew.

Who is judged is the speaker: the publisher, or the authority on whose behalf it publishes. A report
is judged by nobody's role; it says what its source says, and never completes a half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from ledger import acts
from ledger.domain.folding import speaker_of
from ledger.domain.things import Challenge, Disclosure, Exhibit, Handover, JointTeam, Request, Thing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ledger.acts import Act, Catalogue
    from ledger.domain.procedure import Body, Procedure
    from ledger.statement import Statement
    from ledger.verify import Roster


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What a decision needs to know of a statement recorded before.

    Attributes:
        index: of its entry.
        act: its act's name.
        publisher: 16 bytes.
        subject: 16 bytes.
        case: 16 bytes.
        rejected: whether its entry is a rejection.
    """

    index: int
    act: str
    publisher: bytes
    subject: bytes
    case: bytes
    rejected: bool


class View(Protocol):
    """Everything a decision may look at: the ledger just before the statement's own index."""

    @property
    def roster(self) -> Roster:
        """Who is enrolled, with which keys."""

    @property
    def catalogue(self) -> Catalogue:
        """The acts and code lists of this release."""

    def thing(self, subject: bytes, /) -> Thing | None:
        """The thing with this id; None if no accepted act created it."""

    def recorded(self, statement_id: bytes, /) -> Seen | None:
        """The statement with this id, accepted or rejected; None if it is not in the log."""

    def named_in(self, statement_id: bytes, /) -> Collection[bytes]:
        """
        The authorities that an accepted statement names (:func:`named_by`).

        Asked for mandates and a few answers only. Empty for what is unknown or was rejected.
        """

    def ed25519(self, public_key: bytes, message: bytes, signature: bytes, /) -> bool:
        """Whether the signature holds, by the one strict rule."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The statement becomes part of its stream."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """
    The statement cannot be true of the record.

    Attributes:
        reason: a reason code.
        detail: one sentence for the publisher; it is not recorded.
    """

    reason: str
    detail: str


Decision: TypeAlias = Accepted | Rejected

ACCEPTED: Final = Accepted()


class Flag(NamedTuple):
    """
    Something recorded that the procedure does not expect.

    Attributes:
        code: stable name.
        detail: one sentence.
    """

    code: str
    detail: str


ROSTER_ACTS: Final = frozenset(
    {
        "ledger.founded",
        "root.admitted",
        "root_key.replaced",
        "log_key.replaced",
        "authority.enrolled",
        "key.certified",
        "key.rotated",
        "key.revoked",
        "key.retired",
        "roster.confirmed",
    }
)
"""Acts about who may sign: the roster judges who may say them, and whether the keys were possessed."""

_SIDES: Final = frozenset({"requesting", "requested"})
_ANSWERERS: Final = frozenset({"addressee", "notified"})
# Flagged rather than rejected, or compared with the statement that the act is about.
_COMPARED: Final = frozenset({"holder", "recipient", "member", "other_authority", "same_publisher"})
_GIVING: Final = frozenset({"exhibit.handed_over", "exhibit.returned"})
_RECEIVING: Final = frozenset({"request.received", "request.acknowledged"})
# Acts of a court that name the court: it is the one that speaks.
_COURTS_OWN: Final = frozenset(
    {
        "admissibility.ruled",
        "hearing.held",
        "opinion.delivered",
        "reference.answered",
        "reference.registered",
        "ruling.overturned",
    }
)
_OF_THE_LEDGER: Final = frozenset({"ledger", "authority"})


class _Rule(NamedTuple):
    """An act's schema, prepared for judging."""

    streams: frozenset[str]
    creates: bool
    by: frozenset[str]
    anybody: bool
    answers: frozenset[str]


def decide(view: View, index: int, statement: Statement, body: Body) -> Decision:
    """
    Whether an admitted statement can be true of the record.

    Args:
        view: the ledger just before ``index``.
        index: the index that the entry will have.
        statement: decoded; its signature, key, sequence and schema have been checked.
        body: its decoded body.

    Returns:
        ``ACCEPTED``, or ``Rejected`` with a reason code:

        - ``outside_code_list``: a value that its list, pattern or limit does not have;
        - ``speaks_for_another``: on behalf of another, naming no mandate;
        - ``not_a_mandate``: the statement named as mandate is not one by which that authority, or
          the root that enrolled it, names the publisher;
        - ``wrong_subject_kind``, ``subject_exists``, ``subject_missing``, ``wrong_case``;
        - ``not_own_authority``: the act is for another authority, or another kind of authority, to
          say;
        - ``unknown_reference``, ``rejected_reference``, ``wrong_reference_kind``: of anything that
          the body, ``answers`` or ``corrects`` points to;
        - the roster's own: ``not_enrolled_by_root``, ``bad_possession_proof``,
          ``insufficient_endorsement``.

    Cost: a few dictionary accesses, and one look-up in the view per reference.
    """
    catalogue = view.catalogue
    rule = _rule(catalogue.act(statement.act, statement.version))
    for fault in catalogue.faults(statement.act, statement.version, body):
        return Rejected("outside_code_list", f"{fault.path}: {fault.rule}")
    thing = view.thing(statement.subject)
    return (
        _misplaced(view, rule, thing, statement)
        or _unfounded(view, statement)
        or _not_the_speakers(view, index, rule, thing, statement, body)
        or _dangling(view, rule, statement, body)
        or ACCEPTED
    )


def _rule(act: Act) -> _Rule:
    # The act is its schema: name, version and hash identify it for as long as the process runs.
    key = (act.name, act.version, act.sha256)
    rule = _RULES.get(key)
    if rule is None:
        rule = _RULES[key] = _Rule(
            frozenset(act.streams),
            act.creates,
            frozenset(act.by),
            "any" in act.by or not act.by,
            frozenset(act.answers),
        )
    return rule


_RULES: Final[dict[tuple[str, int, Any], _Rule]] = {}


def _misplaced(view: View, rule: _Rule, thing: Thing | None, statement: Statement) -> Rejected | None:
    """Is the subject one that this act can be about, in this case?"""
    act = statement.act
    if thing is None:
        if not rule.creates and not ("authority" in rule.streams and _enrolled(view, statement.subject)):
            return Rejected("subject_missing", f"{act}: nothing with this id has been recorded")
    elif rule.creates:
        return Rejected("subject_exists", f"{act}: this id is already that of a {thing.kind}")
    elif thing.kind not in rule.streams:
        return Rejected("wrong_subject_kind", f"{act} is not said of a {thing.kind}")
    kinds = rule.streams if thing is None else {thing.kind}
    if act == "ledger.founded":
        return None  # it makes its own case; the roster judges it
    if not kinds.isdisjoint(_OF_THE_LEDGER):
        fits = statement.case == view.roster.ledger
        return None if fits else Rejected("wrong_case", "acts about authorities belong to the ledger's own case")
    if thing is not None:
        fits = thing.case == statement.case
        return None if fits else Rejected("wrong_case", f"the {thing.kind} belongs to another case")
    if "case" in kinds:
        fits = statement.case == statement.subject
        return None if fits else Rejected("wrong_case", "a case is its own case")
    case = view.thing(statement.case)
    fits = case is not None and case.kind == "case"
    return None if fits else Rejected("wrong_case", "no such case has been opened")


def _unfounded(view: View, statement: Statement) -> Rejected | None:
    """Does whoever speaks for another, or reports another, name him well?"""
    speaker = statement.speaker
    if speaker is None:
        return None
    if statement.act in ROSTER_ACTS:
        return Rejected("not_own_authority", f"{statement.act} is said in one's own voice only")
    if speaker.authority is not None and not _enrolled(view, speaker.authority):
        return Rejected("unknown_reference", "speaker.authority: no such authority is enrolled")
    if statement.voice != "on_behalf":
        return None
    if speaker.mandate is None:
        return Rejected("speaks_for_another", "speaker.mandate: nobody speaks for another without one")
    mandate = view.recorded(speaker.mandate)
    if mandate is None:
        return Rejected("unknown_reference", "speaker.mandate: no such statement has been recorded")
    if mandate.rejected:
        return Rejected("rejected_reference", "speaker.mandate: that statement was rejected")
    # Only the authority itself, or the root that answers for it, can mandate somebody to speak for it.
    given = mandate.publisher == speaker.authority or (
        mandate.act == "authority.enrolled" and mandate.subject == speaker.authority
    )
    if not given or statement.publisher not in view.named_in(speaker.mandate):
        return Rejected("not_a_mandate", "speaker.mandate: that authority does not name the publisher in it")
    return None


def _not_the_speakers(
    view: View, index: int, rule: _Rule, thing: Thing | None, statement: Statement, body: Body
) -> Rejected | None:
    """Is the act the speaker's to say?"""
    if statement.act in ROSTER_ACTS:
        reason = view.roster.judge(index, statement, body, view.ed25519)
        return None if reason is None else Rejected(reason, f"{statement.act}: the roster does not have it so")
    if rule.anybody or statement.voice == "reported":
        return None
    who = speaker_of(statement)
    if who is None:
        return Rejected("speaks_for_another", "speaker.authority: nobody is named to speak for")
    if statement.act in _COURTS_OWN and body["court"] != who:
        return Rejected("not_own_authority", "court: the court that is named says this itself")
    if _may_say(view, rule.by, thing, statement, body, who):
        return None
    return Rejected("not_own_authority", f"{statement.act} is for {', '.join(sorted(rule.by))} to say")


def _may_say(view: View, by: frozenset[str], thing: Thing | None, statement: Statement, body: Body, who: bytes) -> bool:
    """Does ``who`` have one of these roles, or is it of one of these kinds?"""
    known = view.roster.authority(who)
    if known is None:
        return False
    if not by.isdisjoint(_SIDES):
        request = _request(view, thing, body)
        if request is None:
            # No request is named, so no side is: nobody can be shown to speak for another.
            return True
        return _speaks_for_a_side(view, by, request, statement, who)
    if isinstance(thing, Disclosure) and "recipient" in by:
        return who in thing.recipients
    if isinstance(thing, Disclosure) and "publisher_of_disclosure" in by:
        return thing.discloser in {None, who} or known.kind in by
    described = view.roster.authority(statement.subject)
    if described is not None:
        # What is said of an authority is for its own State, body or organisation to say.
        return known.kind in by and known.holder == described.holder
    if not by.isdisjoint(_ANSWERERS):
        return _was_told(view, statement, who)
    return known.kind in by or not by.isdisjoint(_COMPARED)


def _request(view: View, thing: Thing | None, body: Body) -> Request | None:
    """The request whose sides a role means: the thing itself, or the one that it belongs to."""
    if isinstance(thing, Request):
        return thing
    if isinstance(thing, Handover):
        target = thing.request
    elif isinstance(thing, Challenge):
        target = thing.target_subject
    else:
        target = body.get("request")
    found = None if target is None else view.thing(target)
    return found if isinstance(found, Request) else None


def _speaks_for_a_side(view: View, by: frozenset[str], request: Request, statement: Statement, who: bytes) -> bool:
    kind, country = _described(view, who)
    if "requesting" in by:
        side, state = request.requesting, request.requesting_country
        if side is not None:
            state = _described(view, side)[1]
        if who == side or (side is None and state in {None, country}):
            return True
        if kind in by and state is not None and country == state:
            return True
    if "requested" in by:
        wide = not request.named or statement.act in _RECEIVING or kind in by
        return who in request.named or (wide and country == request.requested_country)
    return False


def _was_told(view: View, statement: Statement, who: bytes) -> bool:
    """Is it, or an authority of its State, named by what it answers (or is nobody named)?"""
    told = {authority for answered in statement.answers for authority in view.named_in(answered)}
    if not told or who in told:
        return True
    country = _described(view, who)[1]
    return country is not None and any(country == _described(view, other)[1] for other in told)


def _dangling(view: View, rule: _Rule, statement: Statement, body: Body) -> Rejected | None:
    """Does everything that it points to exist, and is it what it is taken for?"""
    references = view.catalogue.references(statement.act, statement.version, body)
    # What a roster act refers to is the roster's to judge: an authority about to be enrolled is not yet.
    for path, referent, target in references if statement.act not in ROSTER_ACTS else ():
        if referent == "person":
            continue
        # ``statement:a|b`` is a statement whose act is a or b; every other kind is a thing.
        kind, _, among = referent.partition(":")
        if kind == "statement":
            wrong = _wrong_statement(view, path, target, frozenset(among.split("|")) if among else frozenset())
        else:
            wrong = _wrong_thing(view, path, target, kind)
        if wrong is not None:
            return wrong
    for target in statement.answers:
        wrong = _wrong_statement(view, "answers", target, rule.answers)
        if wrong is not None:
            return wrong
    if statement.corrects is not None:
        wrong = _wrong_statement(view, "corrects", statement.corrects, frozenset())
        if wrong is not None:
            return wrong
        corrected = view.recorded(statement.corrects)
        assert corrected is not None, "it was just found"
        if corrected.publisher != statement.publisher:
            return Rejected("not_own_authority", "corrects: only its publisher corrects a statement")
        if corrected.subject != statement.subject:
            return Rejected("wrong_reference_kind", "corrects: that statement is about another subject")
    elif statement.act == "statement.corrected":
        return Rejected("unknown_reference", "corrects: a correction names the statement that it corrects")
    if statement.act == "statement.disputed":
        return _undisputable(view, statement)
    return None


def _undisputable(view: View, statement: Statement) -> Rejected | None:
    if not statement.answers:
        return Rejected("unknown_reference", "answers: a dispute names the statement that it disputes")
    for target in statement.answers:
        disputed = view.recorded(target)
        assert disputed is not None, "it was just found"
        if disputed.publisher == statement.publisher:
            return Rejected("not_own_authority", "answers: one's own statement is corrected, not disputed")
        if disputed.subject != statement.subject:
            return Rejected("wrong_reference_kind", "answers: that statement is about another subject")
    return None


def _wrong_statement(view: View, path: str, target: bytes, among: frozenset[str]) -> Rejected | None:
    seen = view.recorded(target)
    if seen is None:
        return Rejected("unknown_reference", f"{path}: no statement {target.hex()} has been recorded")
    if seen.rejected:
        return Rejected("rejected_reference", f"{path}: statement {target.hex()} was rejected")
    if among and seen.act not in among:
        return Rejected("wrong_reference_kind", f"{path}: statement {target.hex()} is a {seen.act}")
    return None


def _wrong_thing(view: View, path: str, target: bytes, kind: str) -> Rejected | None:
    if kind == "authority" and _enrolled(view, target):
        return None
    thing = view.thing(target)
    if thing is None:
        return Rejected("unknown_reference", f"{path}: no {kind} {target.hex()} has been recorded")
    if thing.kind != kind:
        return Rejected("wrong_reference_kind", f"{path}: {target.hex()} is a {thing.kind}, not a {kind}")
    return None


def _enrolled(view: View, authority: bytes) -> bool:
    return view.roster.authority(authority) is not None


def _described(view: View, authority: bytes) -> tuple[str, str | None]:
    """Kind and country of an authority, as its root enrolled it."""
    known = view.roster.authority(authority)
    if known is None:
        return "", None
    return known.kind, known.country


def named_by(statement: Statement, body: Body, catalogue: Catalogue | None = None) -> frozenset[bytes]:
    """
    The authorities that a statement names: its addressees, and those in its body.

    A view answers :meth:`View.named_in` with it. The acts are those of this release unless another
    catalogue is given.
    """
    references = (catalogue or acts.catalogue()).references(statement.act, statement.version, body)
    return frozenset(statement.addressees).union(target for _, kind, target in references if kind == "authority")


def flags(thing: Thing | None, statement: Statement, body: Body, procedure: Procedure) -> tuple[Flag, ...]:
    """
    What is odd about an accepted act, as far as its own stream can tell.

    Args:
        thing: before the act; None where the act creates it.
        statement: the accepted statement.
        body: its decoded body.
        procedure: the graph.

    Returns:
        Flags, none of which undoes the act:

        - ``step_outside_procedure``: the graph does not have this step from here;
        - ``nothing_open``: it ends what was not begun (a consultation, a postponement);
        - ``answers_nothing``: an answer that names no statement;
        - ``reported_half``: one half of a hand-over, by report only;
        - ``not_named``: an authority of the requested State that the request does not name;
        - ``not_the_holder``, ``not_the_recipient``, ``not_a_member``: the roles that are not
          rejected (see the module's words).

        Half without its other half, and everything that takes more than one stream, is for
        projections; what an instrument's law adds is for its rules.
    """
    return tuple(_flags(thing, statement, body, procedure))


def _flags(thing: Thing | None, statement: Statement, body: Body, procedure: Procedure) -> Iterator[Flag]:
    act = statement.act
    words = procedure.words.get(act, act)
    if thing is not None:
        if not procedure.step(thing.kind, thing.stage, act, body).in_graph:
            stage = procedure.graphs[thing.kind].stages.get(thing.stage, thing.stage)
            yield Flag("step_outside_procedure", f"{words}, although: {stage}")
        if not procedure.sides(thing.kind, thing.sides, act, body)[1]:
            yield Flag("nothing_open", f"{words}, although nothing of the kind was open")
    if act in procedure.answering and not statement.answers:
        yield Flag("answers_nothing", f"{words}, without naming what it answers")
    if statement.voice == "reported":
        if procedure.other_half(act) is not None:
            yield Flag("reported_half", f"{words}, as reported by another")
        return
    who = speaker_of(statement)
    if isinstance(thing, Request) and act in _RECEIVING and thing.named and who not in thing.named:
        yield Flag("not_named", "the request names other authorities of that State")
    elif isinstance(thing, Exhibit) and act in _GIVING and thing.holder not in {None, who}:
        yield Flag("not_the_holder", "by the record so far, another authority holds the exhibit")
    elif isinstance(thing, Exhibit) and act == "exhibit.taken_over":
        if thing.offered_to not in {None, who} or thing.holder not in {None, body["from_authority"]}:
            yield Flag("not_the_recipient", "by the record so far, it was handed over otherwise")
    elif isinstance(thing, Handover) and act == "file.taken_over" and thing.recipient not in {None, who}:
        yield Flag("not_the_recipient", "the file was sent to another authority")
    elif isinstance(thing, JointTeam) and who not in thing.members:
        yield Flag("not_a_member", "by the record so far, not a member of the joint team")
