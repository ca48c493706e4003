/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys from passwords; see snmp_keys.h. */
#include <config.h>
#include "client/snmp_keys.h"

#include <nettle/md5.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <string.h>

#include "base/mem.h"

#define HASHED_BYTES (1 << 20)
#define CHUNK_MIN 4096

union context {
	struct md5_ctx md5;
	struct sha1_ctx sha1;
	struct sha256_ctx sha256;
	struct sha512_ctx sha512;
};

static const struct nettle_hash *find_hash(const char *auth_protocol)
{
	static const struct {
		const char *name;
		const struct nettle_hash *hash;
	} hashes[] = {{"MD5", &nettle_md5}, {"SHA", &nettle_sha1},
		{"SHA-224", &nettle_sha224}, {"SHA-256", &nettle_sha256},
		{"SHA-384", &nettle_sha384}, {"SHA-512", &nettle_sha512}};

	for (size_t i = 0; i < CS_ARRAY_SIZE(hashes); i++) {
		if (strcmp(hashes[i].name, auth_protocol) == 0)
			return hashes[i].hash;
	}
	return NULL;
}

static void end(
	const struct nettle_hash *hash, union context *context, struct cs_snmp_key *ret)
{
	ret->len = hash->digest_size;
	hash->digest(context, ret->len, ret->bytes);
	explicit_bzero(context, sizeof *context);
}

bool cs_snmp_key_make(
	const char *auth_protocol, const char *password, struct cs_snmp_key *ret)
{
	const struct nettle_hash *hash = find_hash(auth_protocol);
	size_t len = strlen(password), times = CHUNK_MIN / len + 1;
	union context context;

	if (!hash)
		return false;
	uint8_t *chunk = cs_calloc(times, len);
	for (size_t i = 0; i < times; i++)
		memcpy(chunk + i * len, password, len);
	hash->init(&context);
	for (size_t left = HASHED_BYTES, n = times * len; left > 0; left -= n) {
		if (n > left)
			n = left;
		hash->update(&context, n, chunk);
	}
	end(hash, &context, ret);
	explicit_bzero(chunk, times * len);
	free(chunk);
	return true;
}

bool cs_snmp_key_localize(const char *auth_protocol, const struct cs_snmp_key *key,
	const uint8_t *engine_id, size_t engine_id_len, struct cs_snmp_key *ret)
{
	const struct nettle_hash *hash = find_hash(auth_protocol);
	union context context;

	if (!hash)
		return false;
	hash->init(&context);
	hash->update(&context, key->len, key->bytes);
	hash->update(&context, engine_id_len, engine_id);
	hash->update(&context, key->len, key->bytes);
	end(hash, &context, ret);
	return true;
}
