# Black-box tests (pytest); each is one entry of `make check`.
PYTESTS =
TESTS += $(PYTESTS)
EXTRA_DIST += $(PYTESTS)
