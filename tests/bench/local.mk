# What ./dev bench haproxy loads HAProxy with.
check_PROGRAMS += tests/bench/load_client
tests_bench_load_client_SOURCES = tests/bench/load_client.c

# What ./dev bench snmp asks, and what it compares with.
check_PROGRAMS += tests/bench/run_usage tests/bench/snmp_limit tests/bench/snmp_poll tests/bench/snmp_stub
tests_bench_run_usage_SOURCES = tests/bench/run_usage.c
tests_bench_snmp_limit_SOURCES = tests/bench/snmp_limit.c
tests_bench_snmp_poll_SOURCES = tests/bench/snmp_poll.c
tests_bench_snmp_poll_LDADD = $(CS_LIBS) $(NETSNMP_LIBS)
tests_bench_snmp_stub_SOURCES = tests/bench/snmp_stub.c
tests_bench_snmp_stub_LDADD = $(NETTLE_LIBS)

# By name: the build puts its own files into this folder.
EXTRA_DIST += tests/bench/bench.py tests/bench/bench_check.py tests/bench/bench_haproxy.py \
	tests/bench/bench_openstack.py tests/bench/bench_policy.py tests/bench/bench_snmp.py \
	tests/bench/haproxy_bad_cases.py tests/bench/haproxy_lab.py
