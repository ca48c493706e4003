# What ./dev bench haproxy loads HAProxy with.
check_PROGRAMS += tests/bench/load_client
tests_bench_load_client_SOURCES = tests/bench/load_client.c
# By name: the build puts its own files into this folder.
EXTRA_DIST += tests/bench/bench.py tests/bench/bench_check.py tests/bench/bench_haproxy.py \
	tests/bench/bench_openstack.py tests/bench/bench_policy.py tests/bench/haproxy_bad_cases.py tests/bench/haproxy_lab.py
