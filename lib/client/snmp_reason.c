/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why a target has no values, in words; see snmp.h. */
#include <config.h>
#include "client/snmp.h"

#include <stdio.h>
#include <string.h>

#include "client/snmp_codec.h"
#include "client/snmp_usm.h"

static const char *silent_text(const struct cs_snmp_target *target)
{
	if (target->credential && target->credential->version == CS_SNMP_V3)
		return "no answer (address, port, firewall, context or privacy "
		       "password?)";
	return "no answer (address, port, firewall or community?)";
}

const char *cs_snmp_reason(
	const struct cs_snmp_target *target, char ret[CS_SNMP_REASON_SIZE])
{
	static const char *const texts[] = {
		[CS_SNMP_ANSWERED] = "answered",
		[CS_SNMP_MALFORMED] = "malformed answer",
		[CS_SNMP_FOREIGN] = "answered from another address, not taken",
		[CS_SNMP_OTHER_ID] = "answered with another request id, not taken",
		[CS_SNMP_OTHER_VERSION] = "answered in another SNMP version, not taken",
		[CS_SNMP_OTHER_COMMUNITY] = "answered with another community, not taken",
		[CS_SNMP_UNPROVED] =
			"the answer does not prove its origin (digest, time, user or "
			"level), not taken",
	};

	if (target->outcome == CS_SNMP_UNREACHABLE)
		snprintf(ret, CS_SNMP_REASON_SIZE, "%s (is snmpd running?)",
			strerror(target->detail));
	else if (target->outcome == CS_SNMP_ERROR_STATUS)
		snprintf(ret, CS_SNMP_REASON_SIZE, "the agent refused: %s",
			cs_snmp_status_text(target->detail));
	else if (target->outcome == CS_SNMP_REPORTED)
		snprintf(ret, CS_SNMP_REASON_SIZE, "the agent refused: %s",
			cs_snmp_report_text(target->detail));
	else
		snprintf(ret, CS_SNMP_REASON_SIZE, "%s",
			target->outcome == CS_SNMP_SILENT ? silent_text(target)
							  : texts[target->outcome]);
	return ret;
}
