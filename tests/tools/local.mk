# What tests need that no package has.
check_PROGRAMS += tests/tools/kill_at
tests_tools_kill_at_SOURCES = tests/tools/calls.c tests/tools/calls.h tests/tools/kill_at.c
