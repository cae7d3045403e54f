"""
What a law file says, as frozen values: one class for each kind of datum.

Every datum carries its article, the rule in plain words of our own, since when (and until when) it
applies, since when it has been known (case law), and whether it was compared with the official
wording. Nothing here computes and nothing decides. The format of the files, key by key, is
``docs/reference/law-format.md``; :mod:`ledger.law.loader` reads them.

Days are ``datetime.date``. ``from_on`` is the first day on which a rule applies, ``until_on`` the
first day on which it no longer does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

Value: TypeAlias = str | bool
"""What a condition compares a field with: a code or a truth value."""

BASES: Final = {
    "wording": "the official wording was read, or the operative part of the ruling",
    "case_law": "a summary or press release of a court was read",
    "transposition": "the statutes of States that transpose it were read",
    "secondary": "a commentary, a handbook or another treaty of the same drafting was read",
    "memory": "nothing was read; from memory",
}
"""What a datum rests on; only ``wording`` may be verified."""

ROLES: Final = {
    "requesting": "the authority that asks (issuing, sentencing)",
    "requested": "the authority that is asked (executing, administering)",
    "addressee": "the provider to whom an order is addressed",
    "enforcing": "the authority of the provider's State that oversees or enforces an order",
    "notified": "the authority that is told of something that touches its State",
    "sending": "the authority that discloses or hands over",
    "recipient": "the authority that receives what is disclosed or handed over",
    "holder": "the authority that holds an exhibit",
    "member": "a member of a joint team",
    "challenged": "the authority against whose act a remedy is sought",
    "court": "the court that is seised",
    "central": "a ministry or central authority",
    "person": "the person concerned, or counsel",
    "operator": "the operator of a ledger or platform",
    "supervisory": "a supervisory or oversight body",
    "publisher": "the authority that said the triggering act",
    "any": "any authority",
}
"""Who acts, oversees, is bound or is told: parts in one matter, not kinds of authority."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    An act, perhaps only with certain values in its body.

    Attributes:
        act: its wire name.
        when: allowed values by field of the body; an array field matches if one item does.
        unless: values by field of the body that exclude it.
    """

    act: str
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    unless: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def matches(self, act: str, body: Mapping[str, object]) -> bool:
        """Whether an act with this body is meant."""
        return act == self.act and ((not self.when and not self.unless) or holds(self.when, self.unless, body))


@dataclass(frozen=True, slots=True)
class Where:
    """
    For which things a datum holds, by the act that created the thing (for a request ``request.issued``).

    Attributes:
        only: allowed values by field of that act's body; an array field matches if one item does.
        never: values by field that exclude the thing.
    """

    only: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    never: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def matches(self, body: Mapping[str, object]) -> bool:
        """Whether a thing created by an act with this body is meant."""
        return self is EVERYWHERE or holds(self.only, self.never, body)


EVERYWHERE: Final = Where()
"""A datum that holds for every thing under its instrument."""


def holds(
    only: Mapping[str, tuple[Value, ...]], never: Mapping[str, tuple[Value, ...]], body: Mapping[str, object]
) -> bool:
    """Whether ``body`` has one of the ``only`` values in each such field, and none of the ``never`` values."""
    # Asked some hundred thousand times for each thousand entries that are folded: plain loops, and most are empty.
    for name, values in only.items():
        if not _has(name, body.get(name), values):
            return False
    for name, values in never.items():  # noqa: SIM110 -- see above
        if _has(name, body.get(name), values):
            return False
    return True


def _has(name: str, value: object, values: tuple[Value, ...]) -> bool:
    if isinstance(value, (list, tuple)):
        return any(item in values for item in value)
    if name == "limit" and isinstance(value, str):
        # Acts write the id of a limit in small or capital letters.
        return value.casefold() in {str(one).casefold() for one in values}
    return value in values


Unit: TypeAlias = Literal["hours", "days", "consecutive_days", "working_days", "weeks", "months", "years"]
UNITS: Final[tuple[Unit, ...]] = ("hours", "days", "consecutive_days", "working_days", "weeks", "months", "years")


@dataclass(frozen=True, slots=True)
class Period:
    """
    A length of time as a provision states it: one unit, never converted.

    Attributes:
        unit: one of :data:`UNITS`; consecutive days run without a gap, and their end never moves to a
            working day.
        count: how many, 0 only for a period of a part of a month.
        part: for months, a further part as (numerator, denominator) of a month of 30 days.
    """

    unit: Unit
    count: int
    part: tuple[int, int] | None = None

    def __str__(self) -> str:
        unit = self.unit.replace("_", " ")
        words = f"{self.count} {unit if self.count != 1 else unit[:-1]}"
        return words if self.part is None else f"{words} and {self.part[0]}/{self.part[1]} month"


@dataclass(frozen=True, slots=True)
class Between:
    """
    Between which two States a datum holds: ids of applicabilities that list the States.

    Which States accepted a protocol, made a declaration or entered a reservation stands in those
    applicabilities, each with its days. All parts that are given must be so.

    Attributes:
        both: the requesting and the requested State are listed in one of them, or the two as a pair.
        requesting: the requesting State is listed.
        requested: the requested State is listed.
        one: at least one of the two is listed.
        neither: none of the two is listed.
    """

    both: tuple[str, ...] = ()
    requesting: tuple[str, ...] = ()
    requested: tuple[str, ...] = ()
    one: tuple[str, ...] = ()
    neither: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Every applicability that is named."""
        return (*self.both, *self.requesting, *self.requested, *self.one, *self.neither)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """
    What every rule carries.

    Attributes:
        id: unique among its kind in the instrument; that of a limit among all limits.
        instrument: the file's instrument.
        article: the provision, as ``12(3)``.
        text: the rule in plain words of our own.
        from_on: first day on which it applies.
        until_on: first day on which it no longer applies; None while it does.
        known_from_on: since when it has been known, where that differs (case law).
        verified: whether it was compared with the official wording.
        basis: a key of :data:`BASES`.
        eli: address of the official text; the instrument's where the datum names none.
        source: where the datum was read, if not the official text.
        note: a doubt, or what the official text leaves open.
        between: between which two States it holds; None where that does not depend on them.
        country: the State whose overlay has it; None in the instrument itself.
        file: name of the file.
    """

    id: str
    instrument: str
    article: str
    text: str
    from_on: date
    until_on: date | None = None
    known_from_on: date | None = None
    verified: bool
    basis: str
    eli: str | None = None
    source: str | None = None
    note: str | None = None
    between: Between | None = None
    country: str | None = None
    file: str = ""

    def applies(self, on: date, known: date | None = None) -> bool:
        """Whether it applies on a day, as the law was known on ``known`` (today's knowledge if None)."""
        if on < self.from_on or (self.until_on is not None and on >= self.until_on):
            return False
        return known is None or self.known_from_on is None or self.known_from_on <= known


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicability(Datum):
    """
    Who is bound, and how far.

    Attributes:
        effect: bound, not_bound, territory, declaration, scope or temporal.
        countries: two-letter codes; empty where it says nothing of particular States, or where none is known.
        pairs: two States each, for what two have agreed between them.
        complete: whether no other State or pair is meant; else whether one is, is not known.
        kinds: request kinds that it is about; empty for all.
        measures: measures that it is about; empty for all.
    """

    effect: str
    countries: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    complete: bool = False
    kinds: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepEdit:
    """
    Steps of the superset graph that an instrument removes, or one that it adds.

    Attributes:
        kind: the kind of stream.
        act: the act that is the step.
        origins: the stages it is taken from; empty for all that the graph has (removal only).
        to: the stage it leads to (adding only); None where the stage stays.
        when: the condition of the step, as the graph has it: a field and its values.
    """

    kind: str
    act: str
    origins: tuple[str, ...] = ()
    to: str | None = None
    when: tuple[str, tuple[Value, ...]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Datum):
    """Edits of the superset graph: ``remove`` first, then ``add``; ``by_scope``: see :data:`BY_SCOPE`."""

    remove: tuple[StepEdit, ...] = ()
    add: tuple[StepEdit, ...] = ()
    by_scope: bool = False


BY_SCOPE: Final = "that these steps are outside follows from the scope of the instrument; no provision says so of each"
"""What ``by_scope`` of a stage says to a reader; such a stage is not verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Particular(Datum):
    """
    Something that a form requires.

    Attributes:
        act: the act that carries the form.
        form: the form or annex, as ``A``.
        section: the box of it, as ``B``; empty where the article has none.
        carried_by: where the ledger carries it, any one of which suffices: ``statement.<field>``,
            ``body.<field>`` or ``attachment.<role>``.
        required: False where the form asks for it only if available.
        views: who gets it (``provider``, ``enforcing_authority``); empty: whoever gets the form.
        where: for which things.
    """

    act: str
    form: str
    section: str = ""
    carried_by: tuple[str, ...]
    required: bool = True
    views: tuple[str, ...] = ()
    where: Where = EVERYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Competence(Datum):
    """
    Who may say an act. The competences of one act that hold for a thing are alternatives.

    Attributes:
        acts: the acts in question.
        function: what of a declared competence is needed, as ``issue``.
        kinds: kinds of authority that may.
        with_validation: kinds that may if the act is validated.
        validated_by: kinds that validate.
        where: for which things.
    """

    acts: tuple[str, ...]
    function: str | None = None
    kinds: tuple[str, ...]
    with_validation: tuple[str, ...] = ()
    validated_by: tuple[str, ...] = ()
    where: Where = EVERYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision(Datum):
    """
    Which body oversees which acts.

    Attributes:
        acts: what is overseen.
        of: the role whose acts are overseen.
        by: kinds of authority that oversee.
    """

    acts: tuple[str, ...]
    of: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extension:
    """
    How a limit becomes longer.

    Attributes:
        by: the acts that extend it; with an instant ``field`` in ``named`` they may name the new end.
        within: how much longer at most, from the end of the period before; None where no maximum is stated.
        times: how often; None where the text does not say.
        article: the provision.
        text: the rule in plain words.
        named: field of the extending act that names the new end; None where the period says it.
    """

    by: tuple[Pattern, ...]
    within: Period | None
    times: int | None
    article: str
    text: str
    named: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """
    Another length for certain things, such as an emergency.

    Attributes:
        name: one word, as ``emergency``.
        where: for which things.
        starts: for which triggers, by fields of the triggering act's body; empty for all.
        within: the period.
        article: the provision.
        text: the rule in plain words.
        verified: as of a datum.
    """

    name: str
    where: Where
    starts: Mapping[str, tuple[Value, ...]]
    within: Period
    article: str
    text: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Example:
    """
    A worked example of a limit.

    Attributes:
        start: the day, or local date-time, of the event.
        place: a State, perhaps with a subdivision, as ``DE`` or ``DE-BY``; or an institution.
        zone: IANA zone; None for that of the State.
        due: the last day, or for hours the local date-time of expiry.
        variant: which variant; None for the limit itself.
        extended: how often extended.
        suspended: (from, until) intervals that do not count, as days or local date-times.
    """

    start: date | datetime
    place: str
    due: date | datetime
    zone: str | None = None
    variant: str | None = None
    extended: int = 0
    suspended: tuple[tuple[date | datetime, date | datetime], ...] = ()


NATURES: Final = {
    "act": "somebody must have acted before it ends",
    "window": "somebody may act until it ends",
    "lapse": "something ends with it, such as a preservation or the rule of speciality",
    "minimum": "something is kept at least so long",
    "maximum": "something may last at most so long",
    "condition": "a length that a fact is compared with; no clock runs",
}
"""What the end of a limit means."""

MATCHES: Final = {
    "thing": "an act on the same thing ends it",
    "case": "an act in the same case ends it",
    "answers": "only an act that answers the triggering act, or points to it, ends it",
}
"""Which later acts belong to one clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Datum):
    """
    A time limit. One clock runs for each act that starts it.

    Attributes:
        by: the role that must act.
        nature: a key of :data:`NATURES`.
        within: the period; None where the end is ``named``, ``stated`` or ``yearly``.
        named: field of the starting act that holds the end as an instant.
        stated: the end is stated where the ledger cannot read it: in a sealed form, or in national law.
        yearly: (month, day) that the text fixes, in the calendar year after that of the event; no clock runs
            unless an act starts one.
        starts: acts that start it.
        starts_at: ``occurred``, ``legal_effect``, or the field of the starting act that holds the instant.
        ends: acts that meet it.
        match: a key of :data:`MATCHES`.
        same: fields that must be equal in the starting and the ending act.
        suspended_by: acts from which time does not count.
        resumed_by: acts from which time counts again.
        restarted_by: acts from which the whole period runs anew.
        waived_by: acts by which it no longer applies.
        extension: how it becomes longer.
        variants: other lengths; the first that matches is taken.
        counting: id of the counting rule, or ``national``: that of the State that must act.
        calendar: role whose State's holidays and zone count; that of ``by`` where not given.
        consequence: what the text attaches to its end, in plain words.
        where: for which things.
        examples: at least one where there is a period.
    """

    by: str
    nature: str = "act"
    within: Period | None = None
    named: str | None = None
    stated: bool = False
    yearly: tuple[int, int] | None = None
    starts: tuple[Pattern, ...] = ()
    starts_at: str = "occurred"
    ends: tuple[Pattern, ...] = ()
    match: str = "thing"
    same: tuple[str, ...] = ()
    suspended_by: tuple[Pattern, ...] = ()
    resumed_by: tuple[Pattern, ...] = ()
    restarted_by: tuple[Pattern, ...] = ()
    waived_by: tuple[Pattern, ...] = ()
    extension: Extension | None = None
    variants: tuple[Variant, ...] = ()
    counting: str
    calendar: str
    consequence: str
    where: Where = EVERYWHERE
    examples: tuple[Example, ...] = ()

    def period(self, thing: Mapping[str, object], trigger: Mapping[str, object]) -> Period | None:
        """The length for a thing created with ``thing`` and a clock started by a body ``trigger``."""
        for variant in self.variants:
            if variant.where.matches(thing) and holds(variant.starts, {}, trigger):
                return variant.within
        return self.within


@dataclass(frozen=True, slots=True)
class Exempt:
    """A case in which a ground does not apply: the provision, the rule, and for which things."""

    article: str
    text: str
    where: Where = EVERYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground(Datum):
    """
    A ground that may, or must, be invoked. Nothing here invokes it.

    Attributes:
        grounds: codes by which an act invokes it.
        nature: optional or mandatory.
        acts: acts that may invoke it.
        when: allowed values by field of the invoking act's body, as for a refusal in part only.
        invoked_by: the role that may.
        consult_first: whether consultation must come before.
        waiver: role that must ask for a waiver of privilege or immunity; None where it is not about one.
        where: for which things.
        exceptions: when it does not apply.
    """

    grounds: tuple[str, ...]
    nature: str
    acts: tuple[str, ...] = ("request.refused",)
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    invoked_by: str = "requested"
    consult_first: bool = False
    waiver: str | None = None
    where: Where = EVERYWHERE
    exceptions: tuple[Exempt, ...] = ()

    def open_to(self, act: str, body: Mapping[str, object], thing: Mapping[str, object]) -> bool:
        """Whether an act with this body may invoke it, of a thing created by an act with the body ``thing``."""
        return act in self.acts and holds(self.when, {}, body) and self.where.matches(thing)


TIMINGS: Final = {
    "before": "it must come before the trigger",
    "together": "it must come with the trigger",
    "at_once": "it must follow without delay; the text has no number",
    "within": "it must follow within the period, or within the limit named",
    "whenever": "it must follow; the text has no time",
}
"""When a duty must be done, seen from its trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty(Datum):
    """
    When X, then Y, by whom, within what. What is missing becomes a finding.

    Attributes:
        when: acts that trigger it.
        then: acts any one of which fulfils it; empty where only ``check`` can tell.
        by: the role that must.
        to: the role that is told or heard; None where nobody in particular.
        timing: a key of :data:`TIMINGS`.
        within: the period for ``within``; None where ``limit`` names it.
        limit: id of the limit that computes the time.
        unless: acts, before or after, by which it does not arise or falls away.
        match: a key of :data:`MATCHES`, for ``then`` and ``unless``.
        same: fields that must be equal in trigger and fulfilment.
        each: array field of the trigger; the duty arises once for each of its values.
        each_as: field of the fulfilling act that must hold that value.
        other_state: only for values of ``each`` that are not the publisher's own State.
        check: name of a computed condition (see ``docs/reference/law-format.md``), which must hold as well.
        where: for which things.
        answer_within: how long the authority has to answer before the observation becomes a finding.
    """

    when: tuple[Pattern, ...]
    then: tuple[Pattern, ...] = ()
    by: str
    to: str | None = None
    timing: str
    within: Period | None = None
    limit: str | None = None
    unless: tuple[Pattern, ...] = ()
    match: str = "thing"
    same: tuple[str, ...] = ()
    each: str | None = None
    each_as: str | None = None
    other_state: bool = False
    check: str | None = None
    where: Where = EVERYWHERE
    answer_within: Period | None = None


CHECKS: Final = {
    "consult_first_ground": "the refusal invokes a ground that has to be consulted on first",
    "order_without_competence": "the publisher's kind of authority is in no competence for the act",
    "validation_missing": "the act needs a validation and has none",
    "no_remedy": "a remedy rule of the publisher's State says that none is available",
    "use_outside_conditions": "the purpose or the recipient is outside a condition in force",
    "deferral_without_review": "a deferral names no day of review, or that day has passed without one",
    "half_missing": "an act and its other half were not both said",
    "form_incomplete": "a required particular of the form is carried nowhere",
    "limit_lapsed": "a limit has ended and nobody acted",
    "rights_unrecorded": "no status is recorded for one of the rights that apply",
    "assurance_missing": "an assurance that the rule requires was not given",
    "listed_offence": "an offence of the request is on the list that needs no double criminality",
    "cost_exceptional": "costs were reported as exceptionally high",
}
"""Conditions that projections compute; a duty names them, so that no instrument needs code."""

USES: Final = {
    "speciality": "only for the offences or proceedings for which it was given",
    "purpose": "only for the purposes named",
    "onward": "passing on needs what the rule says",
    "retention": "kept so long and no longer",
    "confidentiality": "not to be disclosed",
    "return": "to be given back",
    "assurance": "an assurance or condition that travels with a person or exhibit",
    "exclusion": "not to be used",
}
"""What a use rule restrains."""


TOWARDS: Final = {
    "bound": "to another State that the instrument binds",
    "third": "to a State that it does not bind",
}
"""Whither something or somebody must not go on without more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use(Datum):
    """
    A rule on use that travels with evidence, information or a person.

    Attributes:
        nature: a key of :data:`USES`.
        attaches_to: acts by which something falls under it.
        binds: the role that is bound.
        towards: for ``onward``, a key of :data:`TOWARDS`; None: a person to any State but the one it came from,
            an exhibit to a third State.
        purposes: purposes that stay allowed; empty where the rule is not about purposes.
        consent_by: acts that allow more.
        ends_by: acts that end it.
        limit: id of the limit with whose end it ends, or that computes a retention.
        within: a retention period of its own.
        where: for which things.
        exceptions: when it does not apply.
    """

    nature: str
    attaches_to: tuple[Pattern, ...]
    binds: str
    towards: str | None = None
    purposes: tuple[str, ...] = ()
    consent_by: tuple[Pattern, ...] = ()
    ends_by: tuple[Pattern, ...] = ()
    limit: str | None = None
    within: Period | None = None
    where: Where = EVERYWHERE
    exceptions: tuple[Exempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy(Datum):
    """
    A remedy that the instrument grants or presupposes.

    Attributes:
        against: acts that may be challenged.
        forum: the role in whose State the remedy lies.
        reviews: ``substance``, ``execution``, ``rights``, ``both`` or ``domestic`` (as national law says).
        suspensive: ``no``, ``yes``, ``possible``, ``domestic`` or ``unstated``.
        available: False in an overlay where national law has none.
        limit: id of the limit for seeking it; None where national law says.
        where: for which things.
    """

    against: tuple[str, ...]
    forum: str
    reviews: str = "domestic"
    suspensive: str = "unstated"
    available: bool = True
    limit: str | None = None
    where: Where = EVERYWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Force(Datum):
    """
    A condition of entry into force.

    Attributes:
        in_force: whether it is in force, as far as was known on ``status_on``.
        ratifications: how many it needs; None where it needs none.
        after: how long after the last of them.
        status_on: the day of that knowledge.
        countries: States that had ratified by then, where known.
    """

    in_force: bool
    ratifications: int | None = None
    after: Period | None = None
    status_on: date | None = None
    countries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling(Datum):
    """
    What a court has held on the instrument. ``from_on`` is since when the law is so, ``known_from_on``
    the day of the ruling.

    Attributes:
        court: the court, as it is cited.
        number: the case, as ``C-670/22``.
        ecli: the identifier, where known.
        about: ids of the data that it bears on.
    """

    court: str
    number: str
    ecli: str | None = None
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Datum):
    """
    The instrument's own words for display.

    Attributes:
        roles: by role of :data:`ROLES`.
        things: by kind of stream.
        acts: by wire name.
        stages: by ``kind.stage``.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    things: Mapping[str, str] = field(default_factory=dict)
    acts: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)


KINDS: Final[dict[str, type[Datum]]] = {
    "applicability": Applicability,
    "stage": Stage,
    "particular": Particular,
    "competence": Competence,
    "supervision": Supervision,
    "limit": Limit,
    "ground": Ground,
    "duty": Duty,
    "use": Use,
    "remedy": Remedy,
    "force": Force,
    "ruling": Ruling,
    "words": Words,
}
"""Kinds of datum by the key under which a file has them, in the order of a page."""


@dataclass(frozen=True, slots=True)
class Reach:
    """
    To what an instrument applies though no request, and no act, names it.

    Attributes:
        streams: kinds of stream; what is said of these is under it, by whomever it binds.
        follows: also what is said of exhibits that were named there, and of what was derived from them.
        kinds: kinds of authority that it binds; empty for all.
    """

    streams: tuple[str, ...]
    follows: bool = False
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instrument:
    """
    One instrument as its file has it, or merged with the overlay of a State.

    Attributes:
        id: the code of ``schemas/codes/instruments.toml``, which is also the file's name.
        title: short name.
        official: citation of the official text.
        eli: its address.
        from_on: first day on which it applies.
        until_on: first day on which it no longer does.
        counting: id of the counting rule of its limits, where they name no other.
        reviewed_on: when a person last read the file against the law.
        country: the State whose overlay is merged in; None for the instrument itself.
        with_instruments: ids of instruments that are read together with it (protocols).
        applies_to: to what it applies though nobody names it; None for an instrument that a request names.
        data: every datum by kind and id; versions in the order of their first days.
        file: name of the file.
    """

    id: str
    title: str
    official: str
    eli: str | None
    from_on: date
    until_on: date | None
    counting: str
    reviewed_on: date
    country: str | None
    with_instruments: tuple[str, ...]
    data: Mapping[str, Mapping[str, tuple[Datum, ...]]]
    file: str
    applies_to: Reach | None = None
