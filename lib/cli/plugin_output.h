/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a monitoring core reads from a check plugin: the exit code, a status line with
 * performance data, and long output behind it, all on stdout. Out of memory and out of
 * time end the same way. Source: Monitoring Plugins development guidelines. */
#ifndef CS_CLI_PLUGIN_OUTPUT_H
#define CS_CLI_PLUGIN_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* The exit codes. */
enum cs_plugin_state { CS_OK, CS_WARNING, CS_CRITICAL, CS_UNKNOWN };

const char *cs_plugin_state_text(enum cs_plugin_state state);

/* First call of a plugin. `service` ("CLUSTER CPU") begins every status line; borrowed.
 * From here on, running out of memory prints an UNKNOWN line and exits 3. */
void cs_plugin_begin(const char *service) CS_NONNULL_ALL;

/* What --output says, text or json; others fail. With json, failures become a document,
 * {"state":"UNKNOWN","exit":3,"summary":...}. */
void cs_plugin_use_output(const char *name) CS_NONNULL_ALL;

/* After `timeout_ms` in total the plugin prints an UNKNOWN line and exits 3, whatever it
 * is doing (a name server that does not answer cannot be interrupted otherwise). */
void cs_plugin_watchdog(int64_t timeout_ms);

/* "SERVICE STATE - summary | perfdata\nlong_text"; every other "|" becomes "/". Waits
 * until the core has read it (at most 200 ms, it would lose what is left otherwise) and
 * exits. `perfdata` and `long_text` may be empty. */
_Noreturn void cs_plugin_end(enum cs_plugin_state state, const char *summary,
	const char *perfdata, const char *long_text) CS_NONNULL_ALL;

/* The same for a document that the caller made. */
_Noreturn void cs_plugin_end_json(
	enum cs_plugin_state state, const char *document) CS_NONNULL_ALL;

/* UNKNOWN with a one-line reason, as text or JSON. */
_Noreturn void cs_plugin_fail(const char *reason) CS_NONNULL_ALL;

#endif
