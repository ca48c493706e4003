# What ./dev bench haproxy loads HAProxy with.
check_PROGRAMS += tests/bench/load_client
tests_bench_load_client_SOURCES = tests/bench/load_client.c
