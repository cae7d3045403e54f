"""
The projections in PostgreSQL, shared by every gateway and filled by several workers.

============= ================================================================================
module        what it has
============= ================================================================================
``front``     `Shared`: all of it as a worker, a command and a test use it
``units``     what one worker at a time fills, and how far that is
``ahead``     the lines of what comes next, made by other processes
``fenced``    writing: rows and positions in one transaction, by whoever holds the unit
``tables``    the tables: made, copied into, digested
``rebuilding`` new tables beside those that stand, swapped in and taken back
``answers``   reading: the same queries as for SQLite
``database``  transactions, and who stands in where there is no Kafka
============= ================================================================================

**A projection is filled partition by partition**, by whoever owns the partition in the consumer group: rows are made
of one entry alone. Whoever reads the log reads of each entry, before it is decoded, where it belongs, and leaves the
others alone (``units.sieve``). Where answers join what different cases say (``units.JOINED``), the partitions follow
the log and not Kafka, and a reader is shown what lies below the size that every one of them has reached: a prefix.

**Positions move with the rows**, in one transaction. ``size``: every entry of the partition below it has been
applied once. ``whole``: as far as that was compared with the log; ``taken`` counts the entries applied since, so that
a hole or an exchange of two entries on the way is found by counting (``Shared.settle``).

What is read is one snapshot: a reader sees the tables of one generation, as they were at one instant.
A power failure may take the last transactions, positions and rows together: they are applied again from the log.
"""

from __future__ import annotations

from projections.shared.answers import are_shared, open_shared
from projections.shared.fenced import Fenced
from projections.shared.front import Shared
from projections.shared.units import JOINED, Place, Step, Unit, partition_of, units_of

__all__ = [
    "JOINED",
    "Fenced",
    "Place",
    "Shared",
    "Step",
    "Unit",
    "are_shared",
    "open_shared",
    "partition_of",
    "units_of",
]
