# Black-box tests (pytest); each is one entry of `make check`.
PYTESTS = \
	tests/fakes/test_simcloud.py \
	tests/fakes/test_simcloud_transcripts.py \
	tests/functional/test_check_cluster_cpu.py \
	tests/functional/test_check_cluster_cpu_cluster.py \
	tests/functional/test_check_cluster_cpu_old_list.py \
	tests/functional/test_check_cluster_cpu_snmpd.py \
	tests/functional/test_check_cluster_cpu_versions.py \
	tests/functional/test_check_cluster_drift.py \
	tests/functional/test_credentials.py \
	tests/functional/test_demo_parts.py \
	tests/functional/test_demo_view.py \
	tests/functional/test_explain.py \
	tests/functional/test_fleet.py \
	tests/functional/test_haproxy_root.py \
	tests/functional/test_haproxy_render.py \
	tests/functional/test_haproxy_bad_cases.py \
	tests/functional/test_haproxy_status.py \
	tests/functional/test_haproxy_sync.py \
	tests/functional/test_haproxy_versions.py \
	tests/functional/test_http.py \
	tests/functional/test_kill_at.py \
	tests/functional/test_load_client.py \
	tests/functional/test_nova_scale.py \
	tests/functional/test_nova_scale_at_once.py \
	tests/functional/test_nova_scale_fired.py \
	tests/functional/test_nova_scale_floating.py \
	tests/functional/test_nova_scale_made_of.py \
	tests/functional/test_nova_scale_orphans.py \
	tests/functional/test_nova_scale_rolling.py \
	tests/functional/test_nova_scale_snapshot.py \
	tests/functional/test_nova_scale_trouble.py \
	tests/functional/test_nova_scale_zones.py \
	tests/functional/test_scale_replay.py \
	tests/functional/test_secrets.py \
	tests/functional/test_doctor.py tests/functional/test_manuals.py tests/functional/test_show_config.py
# Against real cores and peers over time.
INTEGRATION_TESTS = \
	tests/integration/test_cpu_agreement.py \
	tests/integration/test_demo.py \
	tests/integration/test_icinga.py \
	tests/integration/test_icinga_zone.py \
	tests/integration/test_nagios.py \
	tests/integration/test_nrpe.py \
	tests/integration/test_sync_paths.py \
	tests/integration/test_zabbix.py
# kill -9 wherever it can strike, and disks and answers that fail there.
KILL_TESTS = \
	tests/integration/test_haproxy_killed.py \
	tests/integration/test_nagios_killed.py \
	tests/integration/test_scale_faults.py \
	tests/integration/test_scale_killed.py
TESTS += $(PYTESTS) $(INTEGRATION_TESTS) $(KILL_TESTS)
EXTRA_DIST += $(PYTESTS) $(INTEGRATION_TESTS) $(KILL_TESTS) tests/functional/balancer.py tests/functional/journal_lines.py tests/functional/scale_lab.py \
	tests/functional/terminal.py \
	tests/integration/core_lab.py tests/integration/core_scenarios.py tests/integration/icinga.py tests/integration/icinga_zone.py tests/integration/scale_scene.py \
	tests/integration/zabbix.py

# A session of cs_fleet by hand, for test_fleet.py.
check_PROGRAMS += tests/functional/fleet_probe
tests_functional_fleet_probe_SOURCES = tests/functional/fleet_probe.c
tests_functional_fleet_probe_LDADD = $(CS_LIBS)
