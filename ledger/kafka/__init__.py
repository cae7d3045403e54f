"""
The conveyor: what Kafka carries between agencies, the log and those who read it.

=============================== ==================== ====================================== =====================
topic                           key                  value (schema)                         written by
=============================== ==================== ====================================== =====================
``comity.submissions``          signing key          a signed statement (``submission``)    agencies
``comity.receipts.<publisher>`` statement id         the answer (``answer``)                ingest
``comity.rejections``           the submission's own what cannot be answered (``set_aside``) ingest
``comity.entries``              case                 the entry: the leaf itself (``entry``) relay
``comity.entries.<audience>``   case                 entry and proof (``proven_entry``)     relay
``comity.checkpoints``          origin               a checkpoint (``signed_checkpoint``)   relay
=============================== ==================== ====================================== =====================

The log is the archive: losing Kafka loses nothing, and nothing here rests on Kafka's transactions.

- ``ledger.kafka.wire``: the bytes of each value, and what stands in the headers;
- ``ledger.kafka.topics``: which topics there are, declared as data, and how they come to be;
- ``ledger.kafka.connection``: how a cluster is reached, and what its errors mean;
- ``ledger.kafka.pulse``: when a service last came round, and how often it began anew;
- ``ledger.kafka.relay``: from the log to the topics, once each and in order;
- ``ledger.kafka.ingest``: from the submissions to the log, and the answers back.
"""
