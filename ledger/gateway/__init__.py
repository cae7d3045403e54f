"""
The gateway: one log, served over HTTP.

============== =======================================================================
``http``       connections: bytes in, requests; answers, bytes out; every limit
``metrics``    what is counted, for Prometheus
``registry``   the released schemas as a read-only Confluent Schema Registry
``front``      what is offered: which path means what, and who may ask
``figures``    what relay, ingest and projectors say of themselves, and where
============== =======================================================================

``http`` knows nothing of ledgers, and ``front`` nothing of sockets.
"""
