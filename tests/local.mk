# Unit tests are programs (cmocka, TAP); everything else is a script that exits 77 to skip.
TEST_EXTENSIONS = .py .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
PY_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run-pytest
AM_TESTS_ENVIRONMENT = \
	LC_ALL=C; export LC_ALL; \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	top_srcdir='$(abs_top_srcdir)'; export top_srcdir; \
	top_builddir='$(abs_top_builddir)'; export top_builddir;
# make QUICK=yes check leaves out tests/integration.
AM_TESTS_ENVIRONMENT += CS_QUICK='$(QUICK)'; export CS_QUICK;
EXTRA_DIST += tests/run-pytest tests/run-valgrind tests/demo tests/fakes tests/openstack-lab tests/package
UNIT_LIBS = $(CS_LIBS) $(NETSNMP_LIBS) $(CMOCKA_LIBS)

UNIT_TESTS =
FUZZ_TESTS =

# The fuzz targets (tests/fuzz/fuzz_<parser>.c define LLVMFuzzerTestOneInput) replay their
# stored inputs (tests/fuzz/corpus/<parser>/) in every build through a plain main().
if FUZZING
FUZZ_MAIN =
else
FUZZ_MAIN = tests/fuzz/replay_main.c
endif
FUZZ_LIBS = $(CS_LIBS) $(NETSNMP_LIBS)

include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
include tests/functional/local.mk
include tests/tools/local.mk
include tests/tree/local.mk

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
check_PROGRAMS += $(FUZZ_TESTS)

dist-hook:
	find $(distdir) '(' -name __pycache__ -o -name '*.log' -o -name '*.trs' ')' -prune -exec rm -rf {} +

# What ./dev test runs under valgrind: what is compiled, and the script that replays inputs.
print-valgrind-tests:
	@echo $(UNIT_TESTS) tests/fuzz/replay.sh
print-integration-tests:
	@echo $(INTEGRATION_TESTS)
print-kill-tests:
	@echo $(KILL_TESTS)
.PHONY: print-valgrind-tests print-integration-tests print-kill-tests
