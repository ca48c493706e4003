# One archive: the linker takes what a program uses, so a handler does not pull in
# net-snmp. The folder of a file is its layer (tests/tree/layers.sh).
noinst_LIBRARIES += lib/libclusterscale.a
lib_libclusterscale_a_SOURCES =

lib_libclusterscale_a_SOURCES += lib/base/deadline.c lib/base/deadline.h
lib_libclusterscale_a_SOURCES += lib/base/error.c lib/base/error.h
lib_libclusterscale_a_SOURCES += lib/base/file.c lib/base/file.h
lib_libclusterscale_a_SOURCES += lib/base/lock.c
lib_libclusterscale_a_SOURCES += lib/base/log.c lib/base/log.h
lib_libclusterscale_a_SOURCES += lib/base/macros.h
lib_libclusterscale_a_SOURCES += lib/base/map.c lib/base/map.h
lib_libclusterscale_a_SOURCES += lib/base/mem.c lib/base/mem.h
lib_libclusterscale_a_SOURCES += lib/base/parse.c lib/base/parse.h
lib_libclusterscale_a_SOURCES += lib/base/proc.c lib/base/proc.h
lib_libclusterscale_a_SOURCES += lib/base/secret.c lib/base/secret.h
lib_libclusterscale_a_SOURCES += lib/base/stamp.c lib/base/stamp.h
lib_libclusterscale_a_SOURCES += lib/base/strbuf.c lib/base/strbuf.h
lib_libclusterscale_a_SOURCES += lib/base/trust.c lib/base/trust.h

lib_libclusterscale_a_SOURCES += lib/format/haproxy_config.c lib/format/haproxy_config.h
lib_libclusterscale_a_SOURCES += lib/format/haproxy_outline.c lib/format/haproxy_outline.h
lib_libclusterscale_a_SOURCES += lib/format/haproxy_state.c
lib_libclusterscale_a_SOURCES += lib/format/haproxy_line.c lib/format/haproxy_line.h
lib_libclusterscale_a_SOURCES += lib/format/haproxy_needs.c lib/format/haproxy_needs.h
lib_libclusterscale_a_SOURCES += lib/format/haproxy_stat.c lib/format/haproxy_stat.h
lib_libclusterscale_a_SOURCES += lib/format/json.c lib/format/json.h
lib_libclusterscale_a_SOURCES += lib/format/perfdata.c lib/format/perfdata.h
lib_libclusterscale_a_SOURCES += lib/format/schema.c lib/format/schema.h
lib_libclusterscale_a_SOURCES += lib/format/sync_report.c lib/format/sync_report.h
lib_libclusterscale_a_SOURCES += lib/format/threshold.c lib/format/threshold.h
lib_libclusterscale_a_SOURCES += lib/format/yaml.c lib/format/yaml.h

lib_libclusterscale_a_SOURCES += lib/client/catalog.c
lib_libclusterscale_a_SOURCES += lib/client/haproxy_socket.c lib/client/haproxy_socket.h
lib_libclusterscale_a_SOURCES += lib/client/http.c lib/client/http.h
lib_libclusterscale_a_SOURCES += lib/client/keystone.c lib/client/keystone.h
lib_libclusterscale_a_SOURCES += lib/client/nova.c lib/client/nova.h
lib_libclusterscale_a_SOURCES += lib/client/nova_internal.h
lib_libclusterscale_a_SOURCES += lib/client/nova_lookup.c
lib_libclusterscale_a_SOURCES += lib/client/nova_parse.c
lib_libclusterscale_a_SOURCES += lib/client/probe.c lib/client/probe.h
lib_libclusterscale_a_SOURCES += lib/client/snmp.c lib/client/snmp.h
lib_libclusterscale_a_SOURCES += lib/client/snmp_codec.c lib/client/snmp_codec.h
lib_libclusterscale_a_SOURCES += lib/client/snmp_resolve.c

lib_libclusterscale_a_SOURCES += lib/domain/clouds.c lib/domain/clouds.h
lib_libclusterscale_a_SOURCES += lib/domain/config.c lib/domain/config.h
lib_libclusterscale_a_SOURCES += lib/domain/cpuload.c lib/domain/cpuload.h
lib_libclusterscale_a_SOURCES += lib/domain/fleet.c lib/domain/fleet.h
lib_libclusterscale_a_SOURCES += lib/domain/fleet_apart.c lib/domain/fleet_apart.h
lib_libclusterscale_a_SOURCES += lib/domain/fleet_rows.c lib/domain/fleet_rows.h
lib_libclusterscale_a_SOURCES += lib/domain/history.c lib/domain/history.h
lib_libclusterscale_a_SOURCES += lib/domain/journal.c lib/domain/journal.h
lib_libclusterscale_a_SOURCES += lib/domain/measure.c lib/domain/measure.h
lib_libclusterscale_a_SOURCES += lib/domain/members.c lib/domain/members.h
lib_libclusterscale_a_SOURCES += lib/domain/plan.c lib/domain/plan.h
lib_libclusterscale_a_SOURCES += lib/domain/policy.c lib/domain/policy.h
lib_libclusterscale_a_SOURCES += lib/domain/publish.c lib/domain/publish.h
lib_libclusterscale_a_SOURCES += lib/domain/publish_apply.c
lib_libclusterscale_a_SOURCES += lib/domain/publish_guard.c
lib_libclusterscale_a_SOURCES += lib/domain/publish_check.c lib/domain/publish_check.h
lib_libclusterscale_a_SOURCES += lib/domain/publish_haproxy.c
lib_libclusterscale_a_SOURCES += lib/domain/publish_pass.h
lib_libclusterscale_a_SOURCES += lib/domain/publish_record.c lib/domain/publish_record.h
lib_libclusterscale_a_SOURCES += lib/domain/publish_servers.c lib/domain/publish_servers.h
lib_libclusterscale_a_SOURCES += lib/domain/publish_reload.c
lib_libclusterscale_a_SOURCES += lib/domain/publish_runtime.c
lib_libclusterscale_a_SOURCES += lib/domain/publish_site.c
lib_libclusterscale_a_SOURCES += lib/domain/publish_world.c
lib_libclusterscale_a_SOURCES += lib/domain/samples.c lib/domain/samples.h
lib_libclusterscale_a_SOURCES += lib/domain/scale.c lib/domain/scale.h
lib_libclusterscale_a_SOURCES += lib/domain/scale_act.c lib/domain/scale_act.h
lib_libclusterscale_a_SOURCES += lib/domain/scale_lb.c
lib_libclusterscale_a_SOURCES += lib/domain/scale_say.c

lib_libclusterscale_a_SOURCES += lib/cli/options.c lib/cli/options.h
lib_libclusterscale_a_SOURCES += lib/cli/plugin_output.c lib/cli/plugin_output.h
