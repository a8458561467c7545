"""The readers of the real sets, of Annyville's twins and of one's own images; one layout a file."""
