# Rules that hold for the tree itself.
TREE_TESTS = \
	tests/tree/apparmor.sh tests/tree/completions.sh tests/tree/config_keys.sh tests/tree/documents.sh \
	tests/tree/install.sh tests/tree/layers.sh tests/tree/links.sh tests/tree/style.sh tests/tree/sudoers.sh tests/tree/units.sh
TESTS += $(TREE_TESTS)
EXTRA_DIST += $(TREE_TESTS)
