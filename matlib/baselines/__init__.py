"""The methods that the paper's Table 3 compares MAT with, one file each, written from their papers."""
