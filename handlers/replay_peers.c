/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The peers, after what their documentation says of their algorithms: the rule of the
 * 2011 article as a core fires it, Heat with Aodh alarms, AWS target tracking, the
 * Kubernetes HPA. Where a sample is lost they see the mean of the others. */
#include <config.h>

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "scale_replay.h"

#define WINDOW_MAX 5

struct alarm {
	int64_t in_row;
};

struct peer {
	struct replay_policy policy;
	struct alarm high, low;
	int state;		    /* article: the service's, -1, 0 or 1 */
	int64_t next;		    /* heat: first tick after the cool-down */
	double up_at, down_at;	    /* heat */
	int64_t cool_down, periods; /* heat */
	int64_t wishes[WINDOW_MAX]; /* hpa: of the last five minutes */
};

static int64_t total_of(const struct replay_tick *tick)
{
	return tick->ready + tick->booting;
}

/* Aodh, CloudWatch: so many periods in a row. */
static bool alarms(struct alarm *alarm, bool outside, int64_t periods)
{
	alarm->in_row = outside ? alarm->in_row + 1 : 0;
	return alarm->in_row >= periods;
}

/* An event handler runs when the state changes, and not while it lasts. */
static int64_t article(struct replay_policy *policy, const struct replay_tick *tick)
{
	struct peer *peer = (struct peer *)policy;
	int state = tick->util >= 0.70 ? 1 : tick->util < 0.10 ? -1 : 0;
	int fired = state != peer->state ? state : 0;

	peer->state = state;
	return total_of(tick) + fired;
}

/* The same thresholds looked at every minute. */
static int64_t article_level(struct replay_policy *policy, const struct replay_tick *tick)
{
	(void)policy;
	return total_of(tick) + (tick->util >= 0.70) - (tick->util < 0.10);
}

/* Signals within the cool-down are dropped; alarms go on counting. */
static int64_t heat(struct replay_policy *policy, const struct replay_tick *tick)
{
	struct peer *peer = (struct peer *)policy;
	bool cools = tick->t < peer->next;
	bool high = alarms(&peer->high, tick->util > peer->up_at, peer->periods);

	if (high && !cools) {
		peer->next = tick->t + peer->cool_down;
		return total_of(tick) + 1;
	}
	bool low = alarms(&peer->low, tick->util < peer->down_at, peer->periods);
	if (!low || cools)
		return total_of(tick);
	peer->next = tick->t + peer->cool_down;
	return total_of(tick) - 1;
}

/* Out after three minutes above the target, in after 15 below nine tenths of it;
 * instances that warm up are part of the capacity, and nothing goes in while they do. */
static int64_t asg(struct replay_policy *policy, const struct replay_tick *tick)
{
	struct peer *peer = (struct peer *)policy;
	double target = 0.70;
	bool high = alarms(&peer->high, tick->util > target, 3);
	bool low = alarms(&peer->low, tick->util < target * 0.9, 15);
	int64_t total = total_of(tick);
	int64_t wish = (int64_t)ceil(tick->util / target * (double)tick->ready);

	if (high)
		return wish > total ? wish : total;
	if (!low || tick->booting > 0 || wish >= total)
		return total;
	peer->low.in_row = 0;
	return wish;
}

/* Ratio to the target with a tolerance of a tenth; pods that are not ready count as idle
 * on the way up, and never turn the direction. */
static int64_t hpa_wish(const struct replay_tick *tick)
{
	double target = 0.70, tolerance = 0.1;
	double ratio = tick->util / target;
	int64_t total = total_of(tick);

	if (fabs(1 - ratio) <= tolerance)
		return total;
	if (ratio < 1 || tick->booting == 0)
		return (int64_t)ceil(ratio * (double)tick->ready);
	double damped = tick->util * (double)tick->ready / (double)total / target;
	if (damped < 1 || fabs(1 - damped) <= tolerance)
		return total;
	int64_t wish = (int64_t)ceil(damped * (double)total);
	return wish > total ? wish : total;
}

/* Down: the highest wish of five minutes. Up: at most the double, or four pods. */
static int64_t hpa(struct replay_policy *policy, const struct replay_tick *tick)
{
	struct peer *peer = (struct peer *)policy;
	int64_t total = total_of(tick), wish = hpa_wish(tick), highest = 0;

	peer->wishes[tick->t % WINDOW_MAX] = wish;
	for (size_t i = 0; i < WINDOW_MAX; i++) {
		if (peer->wishes[i] > highest)
			highest = peer->wishes[i];
	}
	if (wish < total)
		return highest < total ? highest : total;
	int64_t most = total * 2 > total + 4 ? total * 2 : total + 4;
	return wish < most ? wish : most;
}

/* Names are those of --compare. */
static const struct peer peers[] = {
	{.policy = {"article", article}, .state = 2},
	{.policy = {"article-level", article_level}},
	/* the sample template of its project: +-1, 3 periods of a minute */
	{.policy = {"heat", heat},
		.up_at = 0.80,
		.down_at = 0.15,
		.cool_down = 1,
		.periods = 3},
	{.policy = {"heat-70-30", heat},
		.up_at = 0.70,
		.down_at = 0.30,
		.cool_down = 1,
		.periods = 1},
	{.policy = {"asg", asg}},
	{.policy = {"hpa", hpa}},
};

struct replay_policy *replay_peer_new(const char *name)
{
	for (size_t i = 0; i < CS_ARRAY_SIZE(peers); i++) {
		if (strcmp(peers[i].policy.name, name) != 0)
			continue;
		struct peer *peer = cs_calloc(1, sizeof *peer);
		*peer = peers[i];
		return &peer->policy;
	}
	return NULL;
}

const char *replay_peer_names(void)
{
	return "article, article-level, heat, heat-70-30, asg, hpa";
}
