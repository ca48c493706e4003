/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replacing servers of an older image: new ones first, as far as max-surge and max go,
 * then as many old ones leave. The number that this holds the cluster to stands in the
 * journal with every step of it, so that a server more or fewer than that is known for
 * what it is after a crash, too. A decision by the load begins a new count: what was
 * created counts for it, and old servers leave first anyway. */
#include <config.h>
#include "domain/policy_internal.h"

#include <string.h>

/* The number of servers beside the replacing. */
static int64_t base_of(const struct cs_policy_input *in)
{
	const struct cs_journal *journal = in->journal;

	if (!in->image_id || !journal->rolling_image || journal->rolling_base == 0 ||
		strcmp(journal->rolling_image, in->image_id) != 0)
		return cs_policy_capacity(in);
	return cs_max(in->min, cs_min(in->max, journal->rolling_base));
}

static void decide(struct cs_decision *d, enum cs_direction direction, int64_t n,
	int64_t base, int64_t capacity)
{
	d->direction = direction;
	d->create = direction == CS_DIRECTION_UP ? n : 0;
	d->remove = direction == CS_DIRECTION_UP ? 0 : n;
	d->desired = capacity + d->create - d->remove;
	d->rolling_base = base;
	d->measurement_wall_ms = 0; /* it may still justify something */
}

/* So many old servers may go before the new ones are there. None when it is likely that
 * no new one would follow. */
static int64_t unavailable(const struct cs_policy_input *in, bool held_back)
{
	bool full = in->census.exists >= in->max;

	if (cs_policy_create_failures(in) > 0 || cs_policy_creates_left(in) == 0 ||
		(held_back && !full))
		return 0;
	return in->rolling->max_unavailable;
}

static void roll(const struct cs_policy_input *in, int64_t base, struct cs_decision *d)
{
	int64_t capacity = cs_policy_capacity(in), old = in->census.old;
	int64_t wish = base + cs_min(old, in->rolling->max_surge) - capacity;
	int64_t create = wish > 0 ? cs_policy_limit_creates(in, wish, d) : 0;

	if (create > 0) {
		cs_policy_say(d, "replacing: %lld new (max-surge %lld)",
			(long long)create, (long long)in->rolling->max_surge);
		decide(d, CS_DIRECTION_UP, create, base, capacity);
		return;
	}
	int64_t remove = cs_min(old, capacity - base + unavailable(in, wish > 0));
	if (remove > 0)
		remove = cs_policy_limit_removal(
			in, cs_max(0, capacity - base), remove, d);
	if (remove <= 0) {
		cs_policy_say(d, "nothing can be replaced now: hold");
		return;
	}
	cs_policy_say(d, "replacing: %lld old fewer (max-unavailable %lld)",
		(long long)remove, (long long)in->rolling->max_unavailable);
	decide(d, CS_DIRECTION_DOWN, remove, base, capacity);
}

void cs_policy_roll(const struct cs_policy_input *in, struct cs_decision *d)
{
	int64_t capacity = cs_policy_capacity(in), base = base_of(in);

	if (!in->rolling || !in->rolling->present ||
		(in->census.old == 0 && capacity >= base))
		return;
	cs_policy_say(d, "%lld of %lld servers are of an older image",
		(long long)in->census.old, (long long)capacity);
	if (in->census.open_work)
		cs_policy_say(d, "work is open: nothing is replaced before it has ended");
	else if (d->wanted > capacity)
		cs_policy_say(d, "more are wanted: nothing is replaced before");
	/* Between the two halves of a replacement nothing has to cool down. */
	else if (capacity != base || !cs_policy_cools_down(in, 1, d))
		roll(in, base, d);
}
