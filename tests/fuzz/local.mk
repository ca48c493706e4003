# FUZZ_TESTS += tests/fuzz/fuzz_X; sources: the target and $(FUZZ_MAIN); see replay.sh.
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/replay.sh tests/fuzz/replay_main.c
FUZZ_TESTS += tests/fuzz/fuzz_haproxy_config tests/fuzz/fuzz_haproxy_stat tests/fuzz/fuzz_json
TESTS += tests/fuzz/replay.sh

tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz_json.c $(FUZZ_MAIN)
tests_fuzz_fuzz_json_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_json_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

tests_fuzz_fuzz_haproxy_config_SOURCES = tests/fuzz/fuzz_haproxy_config.c $(FUZZ_MAIN)
tests_fuzz_fuzz_haproxy_config_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_haproxy_config_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_haproxy_stat_SOURCES = tests/fuzz/fuzz_haproxy_stat.c $(FUZZ_MAIN)
tests_fuzz_fuzz_haproxy_stat_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_haproxy_stat_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
