# One program per module.

UNIT_TESTS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_config
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_haproxy_config
tests_unit_test_haproxy_config_SOURCES = tests/unit/test_haproxy_config.c
tests_unit_test_haproxy_config_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_haproxy_socket
tests_unit_test_haproxy_socket_SOURCES = tests/unit/test_haproxy_socket.c
tests_unit_test_haproxy_socket_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_haproxy_stat
tests_unit_test_haproxy_stat_SOURCES = tests/unit/test_haproxy_stat.c
tests_unit_test_haproxy_stat_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_options
tests_unit_test_options_SOURCES = tests/unit/test_options.c
tests_unit_test_options_LDADD = $(UNIT_LIBS)
