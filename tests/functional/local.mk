# Black-box tests (pytest); each is one entry of `make check`.
PYTESTS = \
	tests/fakes/test_simcloud.py \
	tests/fakes/test_simcloud_transcripts.py \
	tests/functional/test_demo_parts.py \
	tests/integration/test_demo.py
TESTS += $(PYTESTS)
EXTRA_DIST += $(PYTESTS)
