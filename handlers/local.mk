# The event handlers and their manual pages.
handler_PROGRAMS += handlers/haproxy_sync
MAN8 += handlers/haproxy_sync.8
EXTRA_DIST += handlers/haproxy_sync.8.scd
handlers_haproxy_sync_SOURCES = handlers/haproxy_sync.c
handlers_haproxy_sync_LDADD = $(CS_LIBS)
