"""One module per family of graphs; each has CASES."""
