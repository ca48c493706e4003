# The check plugins and their manual pages.
plugin_PROGRAMS += plugins/check_cluster_cpu
MAN8 += plugins/check_cluster_cpu.8
EXTRA_DIST += plugins/check_cluster_cpu.8.scd

plugins_check_cluster_cpu_SOURCES = plugins/check_cluster_cpu.c \
	plugins/cpu_cluster.c \
	plugins/cpu_decision.c plugins/cpu_report.c plugins/cpu_report.h \
	plugins/cpu_scope.c plugins/cpu_scope.h
plugins_check_cluster_cpu_LDADD = $(CS_LIBS) $(NETSNMP_LIBS)

plugin_PROGRAMS += plugins/check_cluster_drift
MAN8 += plugins/check_cluster_drift.8
EXTRA_DIST += plugins/check_cluster_drift.8.scd

plugins_check_cluster_drift_SOURCES = plugins/check_cluster_drift.c \
	plugins/drift_report.c plugins/drift_report.h
plugins_check_cluster_drift_LDADD = $(CS_LIBS)
