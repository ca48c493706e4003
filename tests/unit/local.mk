# One program per module.

UNIT_TESTS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_clouds
tests_unit_test_clouds_SOURCES = tests/unit/test_clouds.c
tests_unit_test_clouds_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_config
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_cpuload
tests_unit_test_cpuload_SOURCES = tests/unit/test_cpuload.c
tests_unit_test_cpuload_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_drift
tests_unit_test_drift_SOURCES = tests/unit/test_drift.c
tests_unit_test_drift_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_fleet_rows
tests_unit_test_fleet_rows_SOURCES = tests/unit/test_fleet_rows.c
tests_unit_test_fleet_rows_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_cron
tests_unit_test_cron_SOURCES = tests/unit/test_cron.c
tests_unit_test_cron_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_haproxy_config
tests_unit_test_haproxy_config_SOURCES = tests/unit/test_haproxy_config.c
tests_unit_test_haproxy_config_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_haproxy_outline
tests_unit_test_haproxy_outline_SOURCES = tests/unit/test_haproxy_outline.c
tests_unit_test_haproxy_outline_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_haproxy_needs
tests_unit_test_haproxy_needs_SOURCES = tests/unit/test_haproxy_needs.c
tests_unit_test_haproxy_needs_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_haproxy_socket
tests_unit_test_haproxy_socket_SOURCES = tests/unit/test_haproxy_socket.c
tests_unit_test_haproxy_socket_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_haproxy_stat
tests_unit_test_haproxy_stat_SOURCES = tests/unit/test_haproxy_stat.c
tests_unit_test_haproxy_stat_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_history
tests_unit_test_history_SOURCES = tests/unit/test_history.c
tests_unit_test_history_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_journal
tests_unit_test_journal_SOURCES = tests/unit/test_journal.c
tests_unit_test_journal_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_keystone
tests_unit_test_keystone_SOURCES = tests/unit/test_keystone.c
tests_unit_test_keystone_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_members
tests_unit_test_members_SOURCES = tests/unit/test_members.c
tests_unit_test_members_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_floating
tests_unit_test_floating_SOURCES = tests/unit/test_floating.c
tests_unit_test_floating_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_nova
tests_unit_test_nova_SOURCES = tests/unit/test_nova.c
tests_unit_test_nova_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_options
tests_unit_test_options_SOURCES = tests/unit/test_options.c
tests_unit_test_options_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_perfdata
tests_unit_test_perfdata_SOURCES = tests/unit/test_perfdata.c
tests_unit_test_perfdata_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_plan_victims
tests_unit_test_plan_victims_SOURCES = tests/unit/test_plan_victims.c
tests_unit_test_plan_victims_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_plan
tests_unit_test_plan_SOURCES = tests/unit/test_plan.c
tests_unit_test_plan_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_policy
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c
tests_unit_test_policy_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_policy_roll
tests_unit_test_policy_roll_SOURCES = tests/unit/test_policy_roll.c
tests_unit_test_policy_roll_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_probe
tests_unit_test_probe_SOURCES = tests/unit/test_probe.c
tests_unit_test_probe_LDADD = $(UNIT_LIBS)
UNIT_TESTS += tests/unit/test_policy_target
tests_unit_test_policy_target_SOURCES = tests/unit/test_policy_target.c
tests_unit_test_policy_target_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_publish
tests_unit_test_publish_SOURCES = tests/unit/test_publish.c
tests_unit_test_publish_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_samples
tests_unit_test_samples_SOURCES = tests/unit/test_samples.c
tests_unit_test_samples_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_scale
tests_unit_test_scale_SOURCES = tests/unit/test_scale.c
tests_unit_test_scale_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_snmp
tests_unit_test_snmp_SOURCES = tests/unit/test_snmp.c
tests_unit_test_snmp_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_sync_report
tests_unit_test_sync_report_SOURCES = tests/unit/test_sync_report.c
tests_unit_test_sync_report_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_threshold
tests_unit_test_threshold_SOURCES = tests/unit/test_threshold.c
tests_unit_test_threshold_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_trace
tests_unit_test_trace_SOURCES = tests/unit/test_trace.c
tests_unit_test_trace_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_transcripts
tests_unit_test_transcripts_SOURCES = tests/unit/test_transcripts.c
tests_unit_test_transcripts_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_yaml
tests_unit_test_yaml_SOURCES = tests/unit/test_yaml.c
tests_unit_test_yaml_LDADD = $(UNIT_LIBS)

UNIT_TESTS += tests/unit/test_masters
tests_unit_test_masters_SOURCES = tests/unit/test_masters.c
tests_unit_test_masters_LDADD = $(UNIT_LIBS)
