"""
The law as data: instruments, overlays of States, counting rules, and the superset graph.

- :mod:`ledger.law.law`: ``load() -> Law``, the law by day, by State, compared;
- :mod:`ledger.law.data`: what a datum of each kind says;
- :mod:`ledger.law.loader`: the strict reader of the files, of which :mod:`ledger.law.parts` are made;
- :mod:`ledger.law.counting`: ``due(...)``, when a limit ends, and why;
- :mod:`ledger.law.manifest`: which edition this is.

``procedure.toml`` is the superset graph of every procedure (read by :mod:`ledger.domain.procedure`);
an instrument may only remove steps from it, a group of ``steps.toml`` at a time or one by one, or add steps to it.
"""
