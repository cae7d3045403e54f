"""Where entries, tree nodes and checkpoints are kept; each store keeps the same promises."""
