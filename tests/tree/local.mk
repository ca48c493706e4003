# Rules that hold for the tree itself.
