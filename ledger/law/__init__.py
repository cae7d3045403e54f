"""
The law as data, and nothing else: no code lives here.

``procedure.toml`` is the superset graph of every procedure (read by :mod:`ledger.domain.procedure`);
an instrument may only remove steps from it or add steps to it.
"""
