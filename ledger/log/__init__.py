"""The tamper-evident log: tree, checkpoints, tiles, bundles. Formats and hashing only, no store."""
