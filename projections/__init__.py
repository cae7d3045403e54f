"""
What people look at: answers rebuilt from the log alone, and disposable.

`status` (where a thing stands and what can lawfully come next), `audit` (who did what, when, under which
article), `provenance` (who held an exhibit, on which authority, under which conditions), `admissibility`
(per court, proceedings and stage), `deadlines` (which time limits run, and what came of them; `clocks` is their
pure fold) and `findings` (what the law asks and nobody has shown). `roster` keeps the designations that the others
print.

`filling` has what filling them is wherever they are kept: `runner` keeps them in files of one machine, `shared` in
PostgreSQL, where `workers` fill them. `views` opens them for reading.
"""

from __future__ import annotations
