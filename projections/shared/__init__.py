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

**A projection is filled in one of two ways**, decided in ``units.ORDERED``: partition by partition, by whoever owns
the partition in the consumer group; or as one stream in the order of the log, where its answers join what different
cases say. Its one stream is "partition" -1.

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
from projections.shared.units import ORDERED, WHOLE_LOG, Place, Step, Unit, partition_of, units_of

__all__ = [
    "ORDERED",
    "WHOLE_LOG",
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
