# A target and $(FUZZ_MAIN) each; replay.sh runs the corpus of every one.
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/replay.sh tests/fuzz/replay_main.c
TESTS += tests/fuzz/replay.sh

FUZZ_TESTS += tests/fuzz/fuzz_clouds
tests_fuzz_fuzz_clouds_SOURCES = tests/fuzz/fuzz_clouds.c $(FUZZ_MAIN)
tests_fuzz_fuzz_clouds_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_clouds_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c $(FUZZ_MAIN)
tests_fuzz_fuzz_config_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_config_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_fleet_kept
tests_fuzz_fuzz_fleet_kept_SOURCES = tests/fuzz/fuzz_fleet_kept.c $(FUZZ_MAIN)
tests_fuzz_fuzz_fleet_kept_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_fleet_kept_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_fleet_rows
tests_fuzz_fuzz_fleet_rows_SOURCES = tests/fuzz/fuzz_fleet_rows.c $(FUZZ_MAIN)
tests_fuzz_fuzz_fleet_rows_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_fleet_rows_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_floating
tests_fuzz_fuzz_floating_SOURCES = tests/fuzz/fuzz_floating.c $(FUZZ_MAIN)
tests_fuzz_fuzz_floating_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_floating_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_cron
tests_fuzz_fuzz_cron_SOURCES = tests/fuzz/fuzz_cron.c $(FUZZ_MAIN)
tests_fuzz_fuzz_cron_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_cron_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_haproxy_config
tests_fuzz_fuzz_haproxy_config_SOURCES = tests/fuzz/fuzz_haproxy_config.c $(FUZZ_MAIN)
tests_fuzz_fuzz_haproxy_config_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_haproxy_config_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_haproxy_outline
tests_fuzz_fuzz_haproxy_outline_SOURCES = tests/fuzz/fuzz_haproxy_outline.c $(FUZZ_MAIN)
tests_fuzz_fuzz_haproxy_outline_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_haproxy_outline_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
FUZZ_TESTS += tests/fuzz/fuzz_haproxy_needs
tests_fuzz_fuzz_haproxy_needs_SOURCES = tests/fuzz/fuzz_haproxy_needs.c $(FUZZ_MAIN)
tests_fuzz_fuzz_haproxy_needs_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_haproxy_needs_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_haproxy_stat
tests_fuzz_fuzz_haproxy_stat_SOURCES = tests/fuzz/fuzz_haproxy_stat.c $(FUZZ_MAIN)
tests_fuzz_fuzz_haproxy_stat_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_haproxy_stat_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_history
tests_fuzz_fuzz_history_SOURCES = tests/fuzz/fuzz_history.c $(FUZZ_MAIN)
tests_fuzz_fuzz_history_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_history_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_http_error
tests_fuzz_fuzz_http_error_SOURCES = tests/fuzz/fuzz_http_error.c $(FUZZ_MAIN)
tests_fuzz_fuzz_http_error_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_http_error_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_http_header
tests_fuzz_fuzz_http_header_SOURCES = tests/fuzz/fuzz_http_header.c $(FUZZ_MAIN)
tests_fuzz_fuzz_http_header_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_http_header_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_journal
tests_fuzz_fuzz_journal_SOURCES = tests/fuzz/fuzz_journal.c $(FUZZ_MAIN)
tests_fuzz_fuzz_journal_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_journal_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_json
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz_json.c $(FUZZ_MAIN)
tests_fuzz_fuzz_json_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_json_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_keystone_token
tests_fuzz_fuzz_keystone_token_SOURCES = tests/fuzz/fuzz_keystone_token.c $(FUZZ_MAIN)
tests_fuzz_fuzz_keystone_token_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_keystone_token_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_lb_status
tests_fuzz_fuzz_lb_status_SOURCES = tests/fuzz/fuzz_lb_status.c $(FUZZ_MAIN)
tests_fuzz_fuzz_lb_status_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_lb_status_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_nova_page
tests_fuzz_fuzz_nova_page_SOURCES = tests/fuzz/fuzz_nova_page.c $(FUZZ_MAIN)
tests_fuzz_fuzz_nova_page_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_nova_page_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_publish_record
tests_fuzz_fuzz_publish_record_SOURCES = tests/fuzz/fuzz_publish_record.c $(FUZZ_MAIN)
tests_fuzz_fuzz_publish_record_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_publish_record_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_samples
tests_fuzz_fuzz_samples_SOURCES = tests/fuzz/fuzz_samples.c $(FUZZ_MAIN)
tests_fuzz_fuzz_samples_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_samples_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_snmp
tests_fuzz_fuzz_snmp_SOURCES = tests/fuzz/fuzz_snmp.c $(FUZZ_MAIN)
tests_fuzz_fuzz_snmp_LDADD = $(FUZZ_LIBS) $(NETTLE_LIBS)
tests_fuzz_fuzz_snmp_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_sync_report
tests_fuzz_fuzz_sync_report_SOURCES = tests/fuzz/fuzz_sync_report.c $(FUZZ_MAIN)
tests_fuzz_fuzz_sync_report_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_sync_report_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_threshold
tests_fuzz_fuzz_threshold_SOURCES = tests/fuzz/fuzz_threshold.c $(FUZZ_MAIN)
tests_fuzz_fuzz_threshold_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_threshold_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

FUZZ_TESTS += tests/fuzz/fuzz_trace
tests_fuzz_fuzz_trace_SOURCES = tests/fuzz/fuzz_trace.c $(FUZZ_MAIN)
tests_fuzz_fuzz_trace_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_trace_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
