# The event handlers and their manual pages.
handler_PROGRAMS += handlers/haproxy_sync
MAN8 += handlers/haproxy_sync.8
EXTRA_DIST += handlers/haproxy_sync.8.scd
handlers_haproxy_sync_SOURCES = handlers/haproxy_sync.c
handlers_haproxy_sync_LDADD = $(CS_LIBS)
handler_PROGRAMS += handlers/nova_scale
MAN8 += handlers/nova_scale.8
EXTRA_DIST += handlers/nova_scale.8.scd

handlers_nova_scale_SOURCES = handlers/nova_scale.c handlers/nova_scale.h \
	handlers/nova_scale_audit.c handlers/nova_scale_commands.c \
	handlers/nova_scale_doctor.c handlers/nova_scale_doctor_core.c handlers/nova_scale_doctor_lb.c handlers/nova_scale_doctor.h \
	handlers/nova_scale_evidence.c \
	handlers/nova_scale_floating.c \
	handlers/nova_scale_ports.c \
	handlers/nova_scale_show.c handlers/nova_scale_snapshot.c handlers/nova_scale_story.c \
	handlers/nova_scale_verbs.c
handlers_nova_scale_LDADD = $(CS_LIBS)

handler_PROGRAMS += handlers/scale_replay
MAN8 += handlers/scale_replay.8
EXTRA_DIST += handlers/scale_replay.8.scd

handlers_scale_replay_SOURCES = handlers/scale_replay.c handlers/scale_replay.h \
	handlers/replay_model.c \
	handlers/replay_peers.c \
	handlers/replay_plot.c \
	handlers/replay_shipped.c
handlers_scale_replay_LDADD = $(CS_LIBS) -lm
