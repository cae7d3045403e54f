"""A shared, signed, tamper-evident ledger of cross-border criminal-justice cooperation."""
