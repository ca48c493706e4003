/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Measuring a cluster; see measure.h. */
#include <config.h>
#include "domain/measure_poll.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

/* snmpd reads the kernel's counters every 5 s by timer, not on demand. */
#define REFRESH_MS 5500
#define POLL_RESERVE_MS 500
#define LOCK_WAIT_MS 2000
#define LOCK_RETRY_MS 5

const char *cs_measured_state_text(enum cs_measured_state state)
{
	static const char *const texts[] = {"missing", "stale", "warming", "sampled"};

	return texts[state];
}

void cs_measured_set_reason(struct cs_measured *server, const char *reason)
{
	free(server->reason);
	server->reason = reason ? cs_strdup(reason) : NULL;
}

static void set_state(
	struct cs_measured *server, enum cs_measured_state state, const char *reason)
{
	server->state = state;
	cs_measured_set_reason(server, reason);
}

static void set_load(const struct cs_measure_setup *setup, struct cs_measured *server,
	const struct cs_cpu_sample *sample)
{
	int64_t age_ms = cs_cpu_age_ms(sample, server->created_wall_ms);

	server->has_load = true;
	set_state(server, CS_SERVER_SAMPLED, NULL);
	if (age_ms >= setup->warm_up_ms)
		return;
	CS_AUTO_FREE char *young = cs_asprintf("up for %lld s, warm-up %lld s",
		(long long)(age_ms / CS_MS_PER_S),
		(long long)(setup->warm_up_ms / CS_MS_PER_S));
	set_state(server, CS_SERVER_WARMING, young);
}

/* What two samples of a server say about it. */
static void judge(const struct cs_measure_setup *setup, struct cs_measured *server,
	const struct cs_cpu_sample *before, const struct cs_cpu_sample *after)
{
	enum cs_cpu_verdict verdict = cs_cpu_load_between(before, after, &server->load);

	if (verdict == CS_CPU_LOAD)
		set_load(setup, server, after);
	else
		set_state(server,
			verdict == CS_CPU_REBOOTED ? CS_SERVER_WARMING
						   : CS_SERVER_MISSING,
			cs_cpu_verdict_text(verdict));
}

/* A missing server whose last load is of a moment ago. */
static void fall_back_on(const struct cs_measure_setup *setup,
	const struct cs_baseline *last, const struct cs_stamp *now,
	struct cs_measured *server)
{
	int64_t age_ms = cs_stamp_age_ms(&last->newer.at, now);

	if (age_ms < 0 || age_ms > setup->grace_ms ||
		cs_samples_load_of(last, &server->load) != CS_CPU_LOAD)
		return;
	server->state = CS_SERVER_STALE;
	server->stale_ms = age_ms;
	server->has_load = true;
}

static int wait_for_lock(
	const struct cs_measure_setup *setup, struct cs_lock *ret, struct cs_error *err)
{
	CS_AUTO_FREE char *path = cs_asprintf("%s/samples.lock", setup->state_dir);
	struct cs_deadline deadline = cs_deadline_within(setup->deadline, LOCK_WAIT_MS);
	struct cs_error held; /* of an attempt: in the end it may succeed */
	int r = cs_lock_take(path, "check", ret, &held);

	while (r == CS_E_LOCKED && cs_deadline_sleep(deadline, LOCK_RETRY_MS))
		r = cs_lock_take(path, "check", ret, &held);
	if (r < 0)
		*err = held;
	return r;
}

/* Judges a server by what is known of it, and brings that up to date. */
static void use_baseline(const struct cs_measure_setup *setup, struct cs_measured *server,
	const struct cs_sampling *sampling, const struct cs_stamp *now,
	struct cs_baseline *baseline)
{
	const struct cs_baseline last = *baseline;
	struct cs_cpu_sample base;

	if (sampling->answered &&
		cs_baseline_advance(baseline, &sampling->sample, setup->spans, &base))
		judge(setup, server, &base, &sampling->sample);
	if (server->state == CS_SERVER_MISSING)
		fall_back_on(setup, &last, now, server);
}

/* The file mostly has the servers in their own order, so the one behind the last is tried
 * first; `n` when there is none of this id. */
static size_t find_server(const struct cs_measured *servers, size_t n, size_t behind,
	const char *id, struct cs_map *by_id)
{
	if (behind < n && strcmp(servers[behind].id, id) == 0)
		return behind;
	if (!by_id->capacity)
		cs_map_reserve(by_id, n);
	for (size_t i = by_id->n; i < n; i++)
		cs_map_add(by_id, servers[i].id, "", &servers[i]);
	const struct cs_measured *found = cs_map_find(by_id, id, "");
	return found ? (size_t)(found - servers) : n;
}

static void use_file(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, struct cs_sampling *samplings, struct cs_samples_pass *pass)
{
	CS_CLEANUP(cs_map_done) struct cs_map by_id = {0};
	struct cs_baseline baseline;
	struct cs_stamp now;
	size_t i = 0;

	cs_stamp_now(&now);
	while (cs_samples_pass_next(pass, &baseline)) {
		i = find_server(servers, n, i, baseline.id, &by_id);
		if (i < n && samplings[i].known)
			continue; /* a second line of the same */
		if (i < n) {
			use_baseline(setup, &servers[i], &samplings[i], &now, &baseline);
			samplings[i++].known = true;
		}
		if (!cs_baseline_is_expired(&baseline, &now, setup->spans))
			cs_samples_pass_keep(pass, &baseline);
	}
	for (i = 0; i < n; i++) {
		baseline = (struct cs_baseline){
			.id = (char *)servers[i].id, .newer = samplings[i].sample};
		if (samplings[i].answered && !samplings[i].known)
			cs_samples_pass_keep(pass, &baseline);
	}
}

/* Judges every server that has a baseline, and keeps the new samples. Reading and
 * replacing the file happens under a lock, milliseconds long, so that runs at the same
 * time lose nothing of each other; line by line, because it may be larger than all else
 * that is held. */
static int use_baselines(const struct cs_measure_setup *setup,
	struct cs_measured *servers, size_t n, struct cs_sampling *samplings,
	struct cs_error *err)
{
	CS_CLEANUP(cs_lock_release) struct cs_lock lock = CS_LOCK_NONE;
	CS_CLEANUP(cs_samples_pass_done) struct cs_samples_pass pass = {0};

	if (wait_for_lock(setup, &lock, err) < 0 ||
		cs_samples_pass_open(setup->state_dir, &pass, err) < 0)
		return err->code;
	use_file(setup, servers, n, samplings, &pass);
	return cs_samples_pass_commit(&pass, err);
}

static bool has_first_sample(const struct cs_measured *server)
{
	return server->state == CS_SERVER_WARMING && !server->has_load;
}

static int take_second_samples(const struct cs_measure_setup *setup,
	struct cs_measured *servers, size_t n, struct cs_sampling *samplings,
	int64_t first_at_ms, struct cs_measure_result *ret, struct cs_error *err)
{
	int64_t wait_ms = first_at_ms + REFRESH_MS - cs_monotonic_ms();
	CS_AUTO_FREE struct cs_cpu_sample *bases = cs_calloc(n, sizeof *bases);

	if (cs_deadline_left_ms(setup->deadline) < wait_ms + POLL_RESERVE_MS) {
		ret->no_time = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		bases[i] = samplings[i].sample;
	cs_deadline_sleep(setup->deadline, wait_ms);
	ret->twice = true;
	cs_stamp_now(&ret->measurement.at);
	for (size_t i = 0; i < n; i++)
		samplings[i].wanted = has_first_sample(&servers[i]);
	if (cs_measure_poll(setup, servers, n, samplings, err) < 0)
		return err->code;
	for (size_t i = 0; i < n; i++) {
		if (samplings[i].wanted && samplings[i].answered)
			judge(setup, &servers[i], &bases[i], &samplings[i].sample);
	}
	return 0;
}

/* Under a quorum of half of the servers that could have a figure there is none. */
static void add_up(const struct cs_measure_setup *setup,
	const struct cs_measured *servers, size_t n, struct cs_measurement *ret)
{
	CS_AUTO_FREE struct cs_cpu_share *shares = cs_calloc(n, sizeof *shares);
	int64_t counts[CS_SERVER_SAMPLED + 1] = {0};
	size_t n_shares = 0;

	for (size_t i = 0; i < n; i++) {
		const struct cs_measured *server = &servers[i];

		counts[server->state]++;
		if (server->has_load && server->state != CS_SERVER_WARMING)
			shares[n_shares++] = (struct cs_cpu_share){
				server->load.permille, server->load.cpus};
	}
	ret->servers = (int64_t)n;
	ret->sampled = counts[CS_SERVER_SAMPLED];
	ret->stale = counts[CS_SERVER_STALE];
	ret->missing = counts[CS_SERVER_MISSING];
	ret->warming = counts[CS_SERVER_WARMING];
	bool quorum = ret->sampled > 0 && 2 * ret->sampled >= ret->servers - ret->warming;
	ret->load_permille =
		quorum ? cs_cpu_aggregate_of(setup->aggregate, shares, n_shares) : -1;
	ret->above_mean_permille =
		quorum ? ret->load_permille -
				 cs_cpu_aggregate_of(CS_CPU_MEAN, shares, n_shares)
		       : 0;
}

/* Everyone is asked; in `auto`, who had only host-resources last time for that first. */
static void choose_sources(const struct cs_measure_setup *setup,
	const struct cs_measured *servers, size_t n, struct cs_sampling *samplings)
{
	CS_CLEANUP(cs_samples_done) struct cs_samples told = {0};
	bool open = setup->source == CS_CPU_AUTO;

	if (open && setup->state_dir)
		cs_samples_load_told(setup->state_dir, &told);
	for (size_t i = 0; i < n; i++) {
		samplings[i].wanted = true;
		samplings[i].source = open ? CS_CPU_UCD : setup->source;
		if (open && cs_samples_find(&told, servers[i].id))
			samplings[i].source = CS_CPU_HOST_RESOURCES;
	}
}

/* What one sample says. */
static void begin(const struct cs_measure_setup *setup, struct cs_measured *server,
	const struct cs_cpu_sample *sample)
{
	if (sample->source == CS_CPU_UCD) {
		/* Mostly a baseline says more: see name_first_samples(). */
		set_state(server, CS_SERVER_WARMING, NULL);
		return;
	}
	server->load = cs_cpu_load_told(sample);
	set_load(setup, server, sample);
}

/* False when there is none. */
static bool name_first_samples(struct cs_measured *servers, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (!has_first_sample(&servers[i]))
			continue;
		any = true;
		if (!servers[i].reason)
			cs_measured_set_reason(
				&servers[i], cs_cpu_verdict_text(CS_CPU_FIRST));
	}
	return any;
}

int cs_measure(const struct cs_measure_setup *setup, struct cs_measured *servers,
	size_t n, struct cs_measure_result *ret, struct cs_error *err)
{
	CS_AUTO_FREE struct cs_sampling *samplings = cs_calloc(n, sizeof *samplings);
	int64_t first_at_ms = cs_monotonic_ms();

	*ret = (struct cs_measure_result){0};
	cs_stamp_now(&ret->measurement.at);
	for (size_t i = 0; i < n; i++)
		servers[i].state = CS_SERVER_MISSING;
	choose_sources(setup, servers, n, samplings);
	if (cs_measure_poll(setup, servers, n, samplings, err) < 0)
		return err->code;
	for (size_t i = 0; i < n; i++) {
		if (samplings[i].answered)
			begin(setup, &servers[i], &samplings[i].sample);
	}
	/* Without baselines the second sample still gives a figure. */
	if (setup->state_dir)
		(void)!use_baselines(setup, servers, n, samplings, &ret->state_error);
	add_up(setup, servers, n, &ret->measurement);
	bool first = name_first_samples(servers, n);
	if (!setup->once && ret->measurement.sampled == 0 && first &&
		take_second_samples(setup, servers, n, samplings, first_at_ms, ret, err) <
			0)
		return err->code;
	add_up(setup, servers, n, &ret->measurement);
	return 0;
}
