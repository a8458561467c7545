"""The life of a run: its launch, checkpoints, record, what earlier runs left, and how its training went."""
