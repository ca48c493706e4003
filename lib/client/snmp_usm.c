/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The user-based security model; see snmp_usm.h. */
#include <config.h>
#include "client/snmp_usm.h"

#include <net-snmp/net-snmp-config.h>
#include <net-snmp/net-snmp-includes.h>
#include <net-snmp/library/lcd_time.h>
#include <net-snmp/library/snmp_secmod.h>

#include <stdio.h>
#include <string.h>

#include "base/deadline.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "client/snmp_keys.h"

/* Discovery, the time, and once more when either has changed meanwhile. */
#define ATTEMPTS_MAX 4
#define PASSWORD_MIN 8 /* RFC 3414, 11.2 */
#define KUL_SPACE 128  /* keys of AES-256 are longer than their hash gives */

static const char *const auth_names[] = {
	"MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512", NULL};
static const char *const priv_names[] = {"DES", "AES", "AES-192", "AES-256", NULL};

/* The one user in the library's list; its fields borrow. */
static struct usmUser *user;

const char *const *cs_snmp_auth_protocols(void)
{
	return auth_names;
}

const char *const *cs_snmp_priv_protocols(void)
{
	return priv_names;
}

static bool is_one_of(const char *text, const char *const *names)
{
	while (*names && strcmp(text, *names) != 0)
		names++;
	return *names != NULL;
}

static oid *auth_oid(const struct cs_snmp_credential *credential, size_t *ret_len)
{
	return sc_get_auth_oid(usm_lookup_auth_type(credential->auth_protocol), ret_len);
}

static oid *priv_oid(const struct cs_snmp_credential *credential, size_t *ret_len)
{
	return sc_get_priv_oid(usm_lookup_priv_type(credential->priv_protocol), ret_len);
}

static int make_master_key(const struct cs_snmp_credential *credential,
	const struct cs_secret *password, const char *what, struct cs_snmp_key *ret,
	struct cs_error *err)
{
	size_t hash_len;

	if (!password)
		return cs_error_set(err, CS_E_CONFIG,
			"SNMPv3 user '%s' has no %s password", credential->user, what);
	const char *text = cs_secret_expose(password);
	if (strlen(text) < PASSWORD_MIN)
		return cs_error_set(err, CS_E_CONFIG,
			"the %s password of SNMPv3 user '%s' is shorter than %d "
			"characters, which agents refuse (RFC 3414)",
			what, credential->user, PASSWORD_MIN);
	if (!auth_oid(credential, &hash_len) ||
		!cs_snmp_key_make(credential->auth_protocol, text, ret))
		return cs_error_set(err, CS_E_CONFIG,
			"the SNMP library has no authentication by %s",
			credential->auth_protocol);
	return 0;
}

static int check_protocol(const char *what, const char *name, const char *const *names,
	struct cs_error *err)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(256);

	if (name && is_one_of(name, names))
		return 0;
	for (size_t i = 0; names[i]; i++)
		cs_strbuf_addf(&text, "%s%s", i ? ", " : "", names[i]);
	return cs_error_set(err, CS_E_CONFIG, "SNMPv3 %s protocol '%s': give one of %s",
		what, name ? name : "", cs_strbuf_text(&text));
}

int cs_snmp_credential_prepare(
	struct cs_snmp_credential *credential, struct cs_error *err)
{
	size_t len;

	if (credential->version != CS_SNMP_V3)
		return cs_snmp_community_check(credential->community, err);
	if (!credential->user || !*credential->user || strlen(credential->user) > 32)
		return cs_error_set(
			err, CS_E_CONFIG, "SNMPv3 needs a user name of 1 to 32 bytes");
	if (credential->level == CS_SNMP_NO_AUTH_NO_PRIV)
		return 0;
	sc_init();
	if (check_protocol("authentication", credential->auth_protocol, auth_names, err) <
			0 ||
		make_master_key(credential, credential->auth_password, "authentication",
			&credential->auth_key, err) < 0)
		return err->code;
	if (credential->level == CS_SNMP_AUTH_NO_PRIV)
		return 0;
	if (check_protocol("privacy", credential->priv_protocol, priv_names, err) < 0)
		return err->code;
	if (!priv_oid(credential, &len))
		return cs_error_set(err, CS_E_CONFIG,
			"the SNMP library has no privacy by %s",
			credential->priv_protocol);
	return make_master_key(credential, credential->priv_password, "privacy",
		&credential->priv_key, err);
}

uint32_t cs_snmp_engine_time(const struct cs_snmp_engine *engine)
{
	int64_t passed_ms = cs_monotonic_ms() - engine->at_ms;

	return engine->time_s + (uint32_t)(passed_ms / CS_MS_PER_S);
}

int cs_snmp_usm_open(struct cs_error *err)
{
	static bool initialized;

	netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_REVERSE_ENCODE, 1);
	if (!initialized) {
		/* The parts of init_snmp() that v3 needs: it reads files, too. */
		netsnmp_ds_set_string(
			NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_APPTYPE, "clusterscale");
		init_secmod();
		/* Without a handler it writes to standard error. */
		netsnmp_register_loghandler(NETSNMP_LOGHANDLER_NONE, LOG_DEBUG);
		setup_engineID(NULL, NULL);
		initialized = true;
	}
	user = usm_create_user();
	if (!user || usm_add_user(user) != user)
		return cs_error_set(err, CS_E_PROTOCOL,
			"the SNMP library cannot keep a user of SNMPv3");
	/* select_engine() borrows others. */
	free(user->authProtocol);
	free(user->privProtocol);
	user->authProtocol = user->privProtocol = NULL;
	return 0;
}

/* Its fields are borrowed, but for those that it came with. */
void cs_snmp_usm_close(void)
{
	if (!user)
		return;
	usm_remove_user(user);
	user->engineID = user->authKey = user->privKey = NULL;
	user->name = user->secName = NULL;
	user->authProtocol = user->privProtocol = NULL;
	usm_free_user(user);
	user = NULL;
}

static bool localize_key(const struct cs_snmp_credential *credential,
	const struct cs_snmp_engine *engine, const struct cs_snmp_key *master,
	struct cs_snmp_key *ret)
{
	return cs_snmp_key_localize(
		credential->auth_protocol, master, engine->id, engine->id_len, ret);
}

static bool extend_priv_key(
	const struct cs_snmp_credential *credential, struct cs_snmp_engine *engine)
{
	int type = usm_lookup_priv_type(credential->priv_protocol);
	struct cs_snmp_key *key = &engine->priv_key;
	size_t hash_len, len = key->len,
			 need = (size_t)sc_get_proper_priv_length_bytype(type);
	oid *hash = auth_oid(credential, &hash_len);
	bool done = true;

	if (len < need) {
		u_char *buffer = cs_calloc(1, KUL_SPACE);
		memcpy(buffer, key->bytes, len);
		done = netsnmp_extend_kul((u_int)need, hash, (u_int)hash_len, type,
			       engine->id, engine->id_len, &buffer, &len,
			       KUL_SPACE) == SNMPERR_SUCCESS &&
		       len >= need;
		if (done)
			memcpy(key->bytes, buffer, key->len = need);
		explicit_bzero(buffer, KUL_SPACE);
		free(buffer);
	}
	return done;
}

static bool localize(
	const struct cs_snmp_credential *credential, struct cs_snmp_engine *engine)
{
	if (credential->level >= CS_SNMP_AUTH_NO_PRIV &&
		!localize_key(
			credential, engine, &credential->auth_key, &engine->auth_key))
		return false;
	if (credential->level == CS_SNMP_AUTH_PRIV &&
		(!localize_key(
			 credential, engine, &credential->priv_key, &engine->priv_key) ||
			!extend_priv_key(credential, engine)))
		return false;
	engine->localized = true;
	return true;
}

/* Makes the library see this engine and this user, and nobody else. */
static bool select_engine(
	const struct cs_snmp_credential *credential, struct cs_snmp_engine *engine)
{
	static oid no_auth[] = {1, 3, 6, 1, 6, 3, 10, 1, 1, 1};
	static oid no_priv[] = {1, 3, 6, 1, 6, 3, 10, 1, 2, 1};

	if (!engine->localized && !localize(credential, engine))
		return false;
	user->engineID = engine->id;
	user->engineIDLen = engine->id_len;
	user->name = user->secName = (char *)credential->user;
	user->authProtocol = no_auth;
	user->authProtocolLen = CS_ARRAY_SIZE(no_auth);
	user->privProtocol = no_priv;
	user->privProtocolLen = CS_ARRAY_SIZE(no_priv);
	if (credential->level >= CS_SNMP_AUTH_NO_PRIV)
		user->authProtocol = auth_oid(credential, &user->authProtocolLen);
	if (credential->level == CS_SNMP_AUTH_PRIV)
		user->privProtocol = priv_oid(credential, &user->privProtocolLen);
	user->authKey = engine->auth_key.bytes;
	user->authKeyLen = engine->auth_key.len;
	user->privKey = engine->priv_key.bytes;
	user->privKeyLen = engine->priv_key.len;
	user->userStatus = SNMP_ROW_ACTIVE;
	set_enginetime(engine->id, engine->id_len, engine->boots,
		cs_snmp_engine_time(engine), TRUE);
	return true;
}

static netsnmp_session v3_session(void)
{
	return (netsnmp_session){.version = SNMP_VERSION_3,
		.securityModel = SNMP_SEC_MODEL_USM,
		.rcvMsgMaxSize = CS_SNMP_PACKET_MAX,
		.sndMsgMaxSize = CS_SNMP_PACKET_MAX};
}

static int security_level(const struct cs_snmp_credential *credential)
{
	static const int levels[] = {SNMP_SEC_LEVEL_NOAUTH, SNMP_SEC_LEVEL_AUTHNOPRIV,
		SNMP_SEC_LEVEL_AUTHPRIV};

	return levels[credential->level];
}

/* With nothing of an engine yet. The library frees what it is given. */
static struct snmp_pdu *make_form(const struct cs_snmp_query *query, uint32_t wanted,
	int level, const char *name, const char *context)
{
	netsnmp_pdu *pdu = cs_snmp_pdu_make(query, wanted, CS_SNMP_V3);

	pdu->msgid = pdu->reqid;
	pdu->securityModel = SNMP_SEC_MODEL_USM;
	pdu->securityLevel = level;
	pdu->contextName = cs_strdup(context);
	pdu->contextNameLen = strlen(context);
	pdu->securityName = cs_strdup(name);
	pdu->securityNameLen = strlen(name);
	return pdu;
}

struct snmp_pdu *cs_snmp_usm_form(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, uint32_t wanted)
{
	return make_form(query, wanted, security_level(credential), credential->user,
		credential->context ? credential->context : "");
}

void cs_snmp_usm_form_free(struct snmp_pdu *form)
{
	if (form)
		snmp_free_pdu(form);
}

static int build(struct snmp_pdu *form, uint8_t ret[CS_SNMP_PACKET_MAX], size_t *ret_len,
	struct cs_error *err)
{
	netsnmp_session session = v3_session();
	size_t capacity = CS_SNMP_PACKET_MAX, offset = 0;
	u_char *buffer = cs_calloc(1, capacity);
	int r = snmp_build(&buffer, &capacity, &offset, &session, form);

	if (r >= 0 && offset <= CS_SNMP_PACKET_MAX) {
		memcpy(ret, buffer + capacity - offset, offset);
		*ret_len = offset;
		r = 0;
	} else {
		r = cs_error_set(err, CS_E_PROTOCOL,
			"the SNMP library could not build a v3 request: %s",
			snmp_api_errstring(session.s_snmp_errno));
	}
	free(buffer);
	return r;
}

int cs_snmp_usm_discovery(const struct cs_snmp_query *query, struct cs_snmp_packet *ret,
	struct cs_error *err)
{
	struct snmp_pdu *form = make_form(query, 0, SNMP_SEC_LEVEL_NOAUTH, "", "");
	int r = build(form, ret->bytes, &ret->len, err);

	snmp_free_pdu(form);
	return r < 0 ? r : cs_snmp_packet_find_id(ret, err);
}

int cs_snmp_usm_request(const struct cs_snmp_credential *credential,
	struct snmp_pdu *form, struct cs_snmp_engine *engine, uint32_t id,
	uint8_t ret[CS_SNMP_PACKET_MAX], size_t *ret_len, struct cs_error *err)
{
	if (!select_engine(credential, engine))
		return cs_error_set(err, CS_E_PROTOCOL,
			"the SNMP library could not make the keys of an engine");
	form->reqid = form->msgid = (long)id;
	form->securityEngineID = form->contextEngineID = engine->id;
	form->securityEngineIDLen = form->contextEngineIDLen = engine->id_len;
	int r = build(form, ret, ret_len, err);
	form->securityEngineID = form->contextEngineID = NULL;
	free_enginetime(engine->id, engine->id_len);
	return r;
}

/* What a message says of its engine, unproved: RFC 3414, 2.4. */
struct parameters {
	uint8_t id[CS_SNMP_ENGINE_ID_MAX];
	size_t id_len;
	long boots, time_s;
};

static bool read_parameters(const uint8_t *bytes, size_t len, struct parameters *ret)
{
	size_t left = len;
	u_char type, *at = asn_parse_sequence((u_char *)bytes, &left, &type,
			     ASN_SEQUENCE | ASN_CONSTRUCTOR, "message");
	long version;

	if (at)
		at = asn_parse_int(at, &left, &type, &version, sizeof version);
	if (!at)
		return false;
	size_t global_left = left;
	u_char *global = asn_parse_header(at, &global_left, &type);
	if (!global || type != (ASN_SEQUENCE | ASN_CONSTRUCTOR))
		return false;
	left -= (size_t)(global - at) + global_left;
	at = global + global_left;
	at = asn_parse_header(at, &left, &type);
	if (!at || type != ASN_OCTET_STR)
		return false;
	at = asn_parse_sequence(
		at, &left, &type, ASN_SEQUENCE | ASN_CONSTRUCTOR, "parameters");
	ret->id_len = sizeof ret->id;
	if (at)
		at = asn_parse_string(at, &left, &type, ret->id, &ret->id_len);
	if (at)
		at = asn_parse_int(at, &left, &type, &ret->boots, sizeof ret->boots);
	if (at)
		at = asn_parse_int(at, &left, &type, &ret->time_s, sizeof ret->time_s);
	return at && ret->id_len >= 5 && ret->boots >= 0 && ret->time_s >= 0;
}

static bool learn_engine(struct cs_snmp_engine *engine, const uint8_t *bytes, size_t len)
{
	struct parameters found;

	if (engine->attempts >= ATTEMPTS_MAX || !read_parameters(bytes, len, &found))
		return false;
	*engine = (struct cs_snmp_engine){.id_len = (uint8_t)found.id_len,
		.fresh = true,
		.attempts = (uint8_t)(engine->attempts + 1),
		.boots = (uint32_t)found.boots,
		.time_s = (uint32_t)found.time_s,
		.at_ms = cs_monotonic_ms()};
	memcpy(engine->id, found.id, found.id_len);
	return true;
}

/* A proved message: the library has taken its time over. */
static void keep_time(struct cs_snmp_engine *engine)
{
	u_int boots, time_s;

	if (get_enginetime(engine->id, engine->id_len, &boots, &time_s, TRUE) !=
		SNMPERR_SUCCESS)
		return;
	engine->fresh |= boots != engine->boots;
	engine->boots = boots;
	engine->time_s = time_s;
	engine->at_ms = cs_monotonic_ms();
}

/* A Report proves nothing unless it is signed, as no digest of a user can be. It ends the
 * exchange all the same, as an error-status of v2c does. */
static enum cs_snmp_usm_verdict take_report(netsnmp_pdu *pdu,
	struct cs_snmp_engine *engine, const uint8_t *bytes, size_t len,
	enum cs_snmp_outcome *ret_outcome, int *ret_detail)
{
	int what = snmpv3_get_report_type(pdu);
	bool proved = pdu->securityLevel != SNMP_SEC_LEVEL_NOAUTH;

	if (what == SNMPERR_UNKNOWN_ENG_ID && learn_engine(engine, bytes, len))
		return CS_SNMP_USM_AGAIN;
	if (what == SNMPERR_NOT_IN_TIME_WINDOW && engine->attempts < ATTEMPTS_MAX) {
		engine->attempts++;
		engine->fresh = true;
		if (proved)
			keep_time(engine);
		else
			engine->id_len = 0;
		return CS_SNMP_USM_AGAIN;
	}
	*ret_outcome = CS_SNMP_REPORTED;
	*ret_detail = what;
	return CS_SNMP_USM_OUTCOME;
}

/* Like a reply to whom the library knows. */
static bool is_ours(const netsnmp_pdu *pdu, const struct cs_snmp_credential *credential,
	const struct cs_snmp_engine *engine)
{
	return pdu->securityLevel == security_level(credential) &&
	       pdu->securityNameLen == strlen(credential->user) &&
	       memcmp(pdu->securityName, credential->user, pdu->securityNameLen) == 0 &&
	       pdu->contextEngineIDLen == engine->id_len &&
	       memcmp(pdu->contextEngineID, engine->id, engine->id_len) == 0;
}

static enum cs_snmp_usm_verdict take_parsed(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, uint32_t wanted, struct cs_snmp_engine *engine,
	const uint8_t *bytes, size_t len, netsnmp_pdu *pdu,
	enum cs_snmp_outcome *ret_outcome, int *ret_detail, struct cs_snmp_reply *ret)
{
	if (pdu->command == SNMP_MSG_REPORT)
		return take_report(pdu, engine, bytes, len, ret_outcome, ret_detail);
	*ret_outcome = CS_SNMP_MALFORMED;
	if (pdu->command != SNMP_MSG_RESPONSE)
		return CS_SNMP_USM_OUTCOME;
	*ret_outcome = CS_SNMP_UNPROVED;
	if (!is_ours(pdu, credential, engine))
		return CS_SNMP_USM_OUTCOME;
	if (credential->level != CS_SNMP_NO_AUTH_NO_PRIV)
		keep_time(engine);
	*ret_outcome = cs_snmp_pdu_read(pdu, query, wanted, ret);
	*ret_detail = ret->error_status;
	return CS_SNMP_USM_OUTCOME;
}

static bool is_unproved(int error)
{
	switch (error) {
	case SNMPERR_USM_AUTHENTICATIONFAILURE:
	case SNMPERR_USM_NOTINTIMEWINDOW:
	case SNMPERR_USM_DECRYPTIONERROR:
	case SNMPERR_USM_UNKNOWNSECURITYNAME:
	case SNMPERR_USM_UNSUPPORTEDSECURITYLEVEL:
	case SNMPERR_USM_UNKNOWNENGINEID:
		return true;
	}
	return false;
}

/* What a file says of an engine may be of another one by now, or of an earlier life of
 * it, whose time was ahead. */
static bool forget_stale(struct cs_snmp_engine *engine, int error)
{
	if (engine->fresh || !is_unproved(error))
		return false;
	*engine = (struct cs_snmp_engine){.fresh = true};
	return true;
}

enum cs_snmp_usm_verdict cs_snmp_usm_take(const struct cs_snmp_credential *credential,
	const struct cs_snmp_query *query, uint32_t wanted, struct cs_snmp_engine *engine,
	const uint8_t *bytes, size_t len, enum cs_snmp_outcome *ret_outcome,
	int *ret_detail, struct cs_snmp_reply *ret)
{
	netsnmp_session session = v3_session();
	enum cs_snmp_usm_verdict verdict = CS_SNMP_USM_OUTCOME;

	*ret_outcome = CS_SNMP_MALFORMED;
	*ret_detail = 0;
	if (!engine->id_len)
		return learn_engine(engine, bytes, len) ? CS_SNMP_USM_AGAIN
							: CS_SNMP_USM_OUTCOME;
	netsnmp_pdu *pdu = calloc(1, sizeof *pdu);
	if (!pdu)
		cs_out_of_memory();
	struct cs_snmp_engine asked = *engine;
	if (select_engine(credential, engine)) {
		int r = snmp_parse(NULL, &session, pdu, (u_char *)bytes, len);
		if (r == 0)
			verdict = take_parsed(credential, query, wanted, engine, bytes,
				len, pdu, ret_outcome, ret_detail, ret);
		else if (forget_stale(engine, session.s_snmp_errno))
			verdict = CS_SNMP_USM_AGAIN;
		else if (is_unproved(session.s_snmp_errno))
			*ret_outcome = CS_SNMP_UNPROVED;
	}
	free_enginetime(asked.id, asked.id_len);
	explicit_bzero(&asked, sizeof asked);
	snmp_free_pdu(pdu);
	return verdict;
}

const char *cs_snmp_report_text(int detail)
{
	switch (detail) {
	case SNMPERR_UNKNOWN_USER_NAME:
		return "it does not know the user";
	case SNMPERR_UNSUPPORTED_SEC_LEVEL:
		return "not at this security level";
	case SNMPERR_AUTHENTICATION_FAILURE:
		return "wrong authentication password or protocol";
	case SNMPERR_DECRYPTION_ERR:
		return "wrong privacy password or protocol";
	case SNMPERR_NOT_IN_TIME_WINDOW:
		return "its clock does not hold still";
	case SNMPERR_UNKNOWN_ENG_ID:
		return "its engine id does not hold still";
	}
	return "a report of unknown meaning";
}
