/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a person orders, and a decision as words and JSON; see policy.h. */
#include <config.h>
#include "domain/policy_internal.h"

#include "base/strbuf.h"
#include "format/json.h"

/* By hand. */

static const char *last_reason(const struct cs_decision *d)
{
	return d->reasons.items[d->reasons.n - 1];
}

static int order_up(const struct cs_policy_input *in, int64_t n, struct cs_decision *d,
	struct cs_error *err)
{
	size_t before = d->reasons.n;

	/* Of several limits the first one: max, which no waiting moves. */
	if (cs_policy_limit_creates(in, n, d) < n)
		return cs_error_set(err, CS_E_REFUSED, "cannot create %lld: %s",
			(long long)n, d->reasons.items[before]);
	d->direction = CS_DIRECTION_UP;
	d->create = n;
	d->desired += n;
	return 0;
}

static int order_down(const struct cs_policy_input *in, const struct cs_order *order,
	struct cs_decision *d, struct cs_error *err)
{
	int64_t left = cs_policy_capacity(in) - order->lost;
	long long n = order->remove;

	if (order->lost > 0 && left < 1)
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: no server would be left", n);
	if (order->lost > 0 && left < in->min && !in->force)
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: %lld would be left and min is %lld "
			"(--force overrides this)",
			n, (long long)left, (long long)in->min);
	if (order->serving > 0 && order->serving >= in->census.active && !in->force)
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: none would be in service until one that is "
			"under way is (--force overrides this)",
			n);
	if (cs_policy_budget_deletes(in, n, d) < n)
		return cs_error_set(
			err, CS_E_REFUSED, "cannot delete %lld: %s", n, last_reason(d));
	if (!in->force && cs_policy_limit_share(in, order->lost, d) < order->lost)
		return cs_error_set(err, CS_E_REFUSED,
			"cannot delete %lld: %s (--force overrides this)", n,
			last_reason(d));
	d->direction = CS_DIRECTION_DOWN;
	d->remove = n;
	d->desired = left;
	return 0;
}

int cs_policy_order(const struct cs_policy_input *in, const struct cs_order *order,
	struct cs_decision *ret, struct cs_error *err)
{
	struct cs_decision d = {.desired = cs_policy_capacity(in)};
	int rc = 0;

	cs_policy_say_census(in, &d);
	if (order->create > 0)
		rc = order_up(in, order->create, &d, err);
	else if (order->remove > 0)
		rc = order_down(in, order, &d, err);
	if (rc < 0) {
		cs_decision_done(&d);
		return rc;
	}
	cs_policy_say(&d, "ordered by hand");
	*ret = d;
	return 0;
}

void cs_decision_done(struct cs_decision *decision)
{
	cs_strings_done(&decision->reasons);
}

char *cs_decision_why(const struct cs_decision *decision)
{
	CS_CLEANUP(cs_strbuf_done) struct cs_strbuf text = CS_STRBUF(8192);

	for (size_t i = 1; i < decision->reasons.n; i++) {
		cs_strbuf_add(&text, i > 1 ? "; " : "");
		cs_strbuf_add(&text, decision->reasons.items[i]);
	}
	return cs_strdup(cs_strbuf_text(&text));
}

void cs_decision_outcome(const struct cs_decision *decision, struct cs_strbuf *ret)
{
	static const char *const directions[] = {
		[CS_DIRECTION_HOLD] = "stay at",
		[CS_DIRECTION_UP] = "up to",
		[CS_DIRECTION_DOWN] = "down to",
	};

	cs_strbuf_addf(ret, "decision: %s %lld servers", directions[decision->direction],
		(long long)decision->desired);
}

void cs_decision_text(const struct cs_policy_input *in,
	const struct cs_decision *decision, struct cs_strbuf *ret)
{
	for (size_t i = 0; i < in->n_members; i++) {
		CS_AUTO_FREE char *line = cs_evidence_text(&in->members[i]);

		cs_strbuf_addf(ret, "%s\n", line);
	}
	for (size_t i = 0; i < decision->reasons.n; i++)
		cs_strbuf_addf(ret, "because: %s\n", decision->reasons.items[i]);
	cs_decision_outcome(decision, ret);
	cs_strbuf_add(ret, "\n");
}

static const char *direction_text(enum cs_direction direction)
{
	return direction == CS_DIRECTION_UP	? "up"
	       : direction == CS_DIRECTION_DOWN ? "down"
						: "hold";
}

/* [{"name": "max", "before": 12, "after": 10}, ...], in order. */
static struct json_object *limiters_of(const struct cs_decision *decision)
{
	struct json_object *limiters = json_object_new_array();

	for (size_t i = 0; i < decision->n_limiters; i++) {
		struct json_object *limiter = json_object_new_object();

		cs_json_add_str(limiter, "name", decision->limiters[i].name);
		cs_json_add_int(limiter, "before", decision->limiters[i].before);
		cs_json_add_int(limiter, "after", decision->limiters[i].after);
		json_object_array_add(limiters, limiter);
	}
	return limiters;
}

/* What does not count comes first, as it explains most. */
static struct json_object *members_of(const struct cs_policy_input *in, size_t most)
{
	struct json_object *members = json_object_new_array();

	for (int counts = 0; counts < 2; counts++) {
		for (size_t i = 0; i < in->n_members; i++) {
			const struct cs_evidence *member = &in->members[i];

			if ((*member->why == '\0') == counts &&
				json_object_array_length(members) < most)
				json_object_array_add(members, cs_evidence_json(member));
		}
	}
	return members;
}

struct json_object *cs_decision_json(const struct cs_policy_input *in,
	const struct cs_decision *decision, size_t most_members)
{
	struct json_object *object = json_object_new_object();
	struct json_object *reasons = json_object_new_array();
	const struct cs_measurement *m = in->measurement;

	cs_json_add_str(object, "direction", direction_text(decision->direction));
	cs_json_add_int(object, "wanted", decision->wanted);
	cs_json_add_int(object, "desired", decision->desired);
	cs_json_add_int(object, "undrain", decision->undrain);
	cs_json_add_int(object, "create", decision->create);
	cs_json_add_int(object, "delete", decision->remove);
	cs_json_add_int(object, "active", in->census.active);
	cs_json_add_int(object, "building", in->census.building);
	cs_json_add_int(object, "draining", in->census.draining);
	cs_json_add_int(object, "exists", in->census.exists);
	cs_json_add_int(object, "min", in->min);
	cs_json_add_int(object, "max", in->max);
	if (decision->rolling_base > 0) {
		cs_json_add_int(object, "rolling_base", decision->rolling_base);
		cs_json_add_str(object, "rolling_image", in->image_id);
	}
	if (m) {
		cs_json_add_int(object, "measured", m->at.wall_ms);
		cs_json_add_int(object, "load_permille", m->load_permille);
		cs_json_add_int(object, "servers", m->servers);
		cs_json_add_int(object, "sampled", m->sampled);
	}
	for (size_t i = 0; i < decision->reasons.n; i++)
		json_object_array_add(
			reasons, json_object_new_string(decision->reasons.items[i]));
	if (most_members > 0 && in->n_members > most_members)
		cs_json_add_int(object, "members_left_off",
			(int64_t)(in->n_members - most_members));
	if (in->n_members > 0 && most_members > 0)
		json_object_object_add(object, "members", members_of(in, most_members));
	json_object_object_add(object, "limiters", limiters_of(decision));
	json_object_object_add(object, "reasons", reasons);
	return object;
}
