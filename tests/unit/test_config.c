/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "domain/config.h"

/* The least that is accepted; tests add lines to its end or change some. */
#define LEAST                                                               \
	"clusters:\n"                                                       \
	"  web:\n"                                                          \
	"    cloud: mycloud\n"                                              \
	"    servers: {image: snapshot, flavor: m1.small, name: web%H%M}\n" \
	"    size: {min: 2, max: 20}\n"

#define HAPROXY                      \
	LEAST "    haproxy:\n"       \
	      "      template: /t\n" \
	      "      config: /c\n"   \
	      "      stats-socket: /s\n      master-socket: /m\n"

static struct cs_config *accept_text(const char *text)
{
	struct cs_config *config = NULL;
	struct cs_error err = {0};

	if (cs_config_parse(text, strlen(text), "c.yaml", &config, &err) < 0)
		fail_msg("%s", err.message);
	return config;
}

static void refuse_text(const char *text, const char *message)
{
	struct cs_config *config = NULL;
	struct cs_error err = {0};

	assert_int_equal(cs_config_parse(text, strlen(text), "c.yaml", &config, &err),
		CS_E_CONFIG);
	assert_string_equal(err.message, message);
	assert_null(config);
}

static void test_defaults_fill_what_is_not_said(void **state)
{
	struct cs_config *config = accept_text(LEAST);
	const struct cs_cluster *web = &config->clusters[0];

	(void)state;
	assert_int_equal(config->n_clusters, 1);
	assert_string_equal(config->path, "c.yaml");
	assert_string_equal(config->state_dir, CS_LOCALSTATEDIR "/lib/clusterscale");
	assert_null(config->clouds_file);
	assert_string_equal(web->name, "web");
	assert_int_equal(web->mode, CS_MODE_OBSERVE);
	assert_int_equal(web->min, 2);
	assert_int_equal(web->max, 20);
	assert_int_equal(web->servers.build_timeout_ms, 600000);
	assert_false(web->servers.adopt_image);
	assert_int_equal(web->servers.networks.n, 0);
	assert_int_equal(web->cpu.snmp.version, CS_SNMP_V2C);
	assert_null(web->cpu.snmp.community_file);
	assert_int_equal(web->cpu.snmp.port, 161);
	assert_int_equal(web->cpu.min_span_ms, 10000);
	assert_int_equal(web->cpu.max_span_ms, 180000);
	assert_int_equal(web->cpu.timeout_ms, 3000);
	assert_int_equal(web->policy.follow, CS_FOLLOW_TARGET);
	assert_int_equal(web->policy.target_permille, 700);
	assert_int_equal(web->policy.headroom_permille, 700);
	assert_int_equal(web->policy.spare, 0);
	assert_int_equal(web->policy.window_ms, 300000);
	assert_int_equal(web->policy.keep_ms, 2400000);
	assert_int_equal(web->policy.grow_by_permille, 3000);
	assert_int_equal(web->policy.shrink_by_permille, 250);
	assert_int_equal(web->policy.n_schedule, 0);
	assert_string_equal(web->policy.timezone, "UTC");
	assert_int_equal(web->policy.scale_up_at_permille, 700);
	assert_int_equal(web->policy.scale_down_at_permille, 100);
	assert_int_equal(web->policy.step_up.number, 1);
	assert_int_equal(web->policy.cool_down_up_ms, 60000);
	assert_int_equal(web->policy.cool_down_down_ms, 120000);
	assert_int_equal(web->policy.max_age_ms, 90000);
	assert_int_equal(web->policy.creates_per_hour, 20);
	assert_int_equal(web->policy.creates_per_run, 20);
	assert_int_equal(web->policy.deletes_per_day, 200);
	assert_int_equal(web->policy.shrink_per_run_permille, 500);
	assert_false(web->haproxy.present);
	assert_string_equal(web->haproxy.cloud, "mycloud");
	assert_int_equal(web->haproxy.port, 80);
	assert_string_equal(web->haproxy.options, "maxconn 512 check");
	assert_null(web->haproxy.probe.path);
	assert_int_equal(web->haproxy.probe.status_min, 200);
	assert_int_equal(web->haproxy.probe.status_max, 399);
	assert_int_equal(web->n_load_balancers, 0);
	cs_config_free(config);
}

static void test_the_example_says_everything(void **state)
{
	CS_AUTO_FREE char *path =
		cs_asprintf("%s/contrib/clusterscale.yaml", getenv("top_srcdir"));
	struct cs_config *config = NULL;
	const struct cs_cluster *web;
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_config_load(path, &config, &err), 0);
	assert_int_equal(cs_config_cluster(config, "web", &web, &err), 0);
	assert_int_equal(web->mode, CS_MODE_OBSERVE);
	assert_string_equal(web->servers.networks.items[0], "private");
	assert_null(web->servers.key_name);
	assert_string_equal(
		web->cpu.snmp.community_file, "/etc/clusterscale/web.community");
	assert_true(web->haproxy.present);
	assert_string_equal(web->haproxy.cloud, "mycloud-reader");
	assert_string_equal(web->haproxy.backend, "web");
	assert_int_equal(web->haproxy.drain_timeout_ms, 300000);
	assert_int_equal(web->n_load_balancers, 1);
	assert_string_equal(web->load_balancers[0].name, "lb1");
	assert_int_equal(web->load_balancers[0].sync.n, 5);
	CS_AUTO_FREE char *dir = cs_config_cluster_dir(config, web);
	assert_string_equal(dir, "/var/lib/clusterscale/web");
	cs_config_free(config);
}

static void test_units_of_times_and_loads(void **state)
{
	struct cs_config *config = accept_text(LEAST
		"    policy: {cool-down-up: 5m, cool-down-down: 1.5h, max-age: 2.5,\n"
		"      scale-up-at: 70.5, scale-down-at: 0}\n"
		"    cpu: {timeout: 9s, min-span: 0.5m}\n");
	const struct cs_cluster *web = &config->clusters[0];

	(void)state;
	assert_int_equal(web->policy.cool_down_up_ms, 300000);
	assert_int_equal(web->policy.cool_down_down_ms, 5400000);
	assert_int_equal(web->policy.max_age_ms, 2500);
	assert_int_equal(web->policy.scale_up_at_permille, 705);
	assert_int_equal(web->policy.scale_down_at_permille, 0);
	assert_int_equal(web->cpu.timeout_ms, 9000);
	assert_int_equal(web->cpu.min_span_ms, 30000);
	cs_config_free(config);
}

static void test_wrong_values_name_file_line_key_and_both_sides(void **state)
{
	(void)state;
	refuse_text("", "c.yaml: the file is empty");
	refuse_text(
		"- a\n", "c.yaml:1: expected keys with values, such as 'state-dir: ...'");
	refuse_text("clusters: {}\n",
		"c.yaml:1: key 'clusters': expected at least one cluster");
	refuse_text("state-dir: /x\n", "c.yaml:1: key 'clusters' is missing");
	refuse_text("clusters:\n  web: 3\n", "c.yaml:2: key 'clusters': expected names, "
					     "each with its keys, found '3'");
	refuse_text(LEAST "    mode: perhaps\n",
		"c.yaml:6: key 'clusters.web.mode': expected one of observe, act, found "
		"'perhaps'");
	refuse_text(LEAST "    cpu: {snmp: {port: 0}}\n",
		"c.yaml:6: key 'clusters.web.cpu.snmp.port': expected a whole number "
		"from "
		"1 to 65535, found '0'");
	refuse_text(LEAST "    cpu: {groups: [{snmp: {port: 1161}}]}\n",
		"c.yaml:6: key 'clusters.web.cpu.groups[0].names' is missing");
	refuse_text(LEAST "    cpu: {timeout: soon}\n",
		"c.yaml:6: key 'clusters.web.cpu.timeout': expected seconds (or 90s, 5m, "
		"1h) from 0.100 to 60, found 'soon'");
	refuse_text(LEAST "    policy: {scale-up-at: 101}\n",
		"c.yaml:6: key 'clusters.web.policy.scale-up-at': expected a percentage "
		"without its sign from 0 to 100, found '101'");
	refuse_text(LEAST "    policy: {step-up: '1'}\n",
		"c.yaml:6: key 'clusters.web.policy.step-up': expected a whole number "
		"from "
		"1 to 10000, or 1% to 100%, found '1'");
	refuse_text(LEAST "    policy: {step-down: 0%}\n",
		"c.yaml:6: key 'clusters.web.policy.step-down': expected a whole number "
		"from 1 to 10000, or 1% to 100%, found '0%'");
	refuse_text(LEAST "    policy:\n",
		"c.yaml:6: key 'clusters.web.policy': expected keys with values, found "
		"nothing");
	refuse_text("clouds-file: clouds.yaml\n" LEAST,
		"c.yaml:1: key 'clouds-file': expected a path that begins with '/', "
		"found "
		"'clouds.yaml'");
	refuse_text(LEAST "    load-balancers: {}\n",
		"c.yaml:6: key 'clusters.web.load-balancers': expected a list of keys "
		"with "
		"values, found keys with values");
}

static void test_unknown_and_missing_keys(void **state)
{
	(void)state;
	refuse_text(LEAST "    cpu: {snmp: {comunity: x}}\n",
		"c.yaml:6: unknown key 'clusters.web.cpu.snmp.comunity'; valid here: "
		"version, community-file, user, level, auth-protocol, "
		"auth-password-file, priv-protocol, priv-password-file, context, port");
	refuse_text("clusters:\n  web:\n    cloud: c\n    servers: {flavor: f}\n",
		"c.yaml:4: key 'clusters.web.servers.image' is missing");
	refuse_text("clusters:\n  web:\n    cloud: c\n",
		"c.yaml:3: key 'clusters.web.servers.image' is missing");
	refuse_text(LEAST "    haproxy: {config: /c}\n",
		"c.yaml:6: key 'clusters.web.haproxy.template' is missing");
	refuse_text(LEAST "    load-balancers: [{name: a}]\n",
		"c.yaml:6: key 'clusters.web.load-balancers[0].sync' is missing");
}

static void test_keys_must_agree(void **state)
{
	(void)state;
	refuse_text("clusters:\n"
		    "  web:\n"
		    "    cloud: c\n"
		    "    servers: {image: i, flavor: f, name: n}\n"
		    "    size:\n"
		    "      min: 3\n"
		    "      max: 2\n",
		"c.yaml:7: key 'clusters.web.size.max': 2 is less than size.min, 3");
	refuse_text(LEAST "    policy: {scale-up-at: 5}\n",
		"c.yaml:6: key 'clusters.web.policy.scale-down-at': expected less than "
		"policy.scale-up-at");
	refuse_text(LEAST "    policy: {schedule: [{during: '* 25 * * *', min: 4}]}\n",
		"c.yaml:6: key 'clusters.web.policy.schedule': expected in 'during' a "
		"cron expression: minute hour day month weekday, such as \"* 8-17 * * "
		"1-5\"");
	refuse_text(LEAST "    policy: {schedule: [{during: '* * * * *', min: 21}]}\n",
		"c.yaml:6: key 'clusters.web.policy.schedule': expected min and max "
		"within those of size, and min at most max");
	refuse_text(LEAST "    rolling: {max-surge: 0}\n",
		"c.yaml:6: key 'clusters.web.rolling': expected max-surge or "
		"max-unavailable of at least 1");
	refuse_text(LEAST "    policy: {timezone: Middle/Earth}\n",
		"c.yaml:6: key 'clusters.web.policy.timezone': expected the name of a "
		"time zone, such as Europe/Paris");
	refuse_text(LEAST "    cpu: {min-span: 180}\n",
		"c.yaml:6: key 'clusters.web.cpu.max-span': expected more than "
		"cpu.min-span");
	refuse_text(HAPROXY "      backend: b\n      server:\n        probe:\n"
			    "          status: 200\n",
		"c.yaml:13: key 'clusters.web.haproxy.server.probe': expected a path, as "
		"in {path: /health}");
	refuse_text(HAPROXY "      backend: b\n      server:\n        probe:\n"
			    "          path: /a b\n",
		"c.yaml:14: key 'clusters.web.haproxy.server.probe.path': expected the "
		"path of a URL, without blanks and '#'");
	refuse_text(HAPROXY "      backend: b\n      server:\n        probe:\n"
			    "          path: /a\n          status: 99\n",
		"c.yaml:15: key 'clusters.web.haproxy.server.probe.status': expected a "
		"status such as 200, or a range such as 200-399");
	refuse_text(HAPROXY "      backend: b\n      server:\n        probe:\n"
			    "          path: /a\n          status: 300-200\n",
		"c.yaml:15: key 'clusters.web.haproxy.server.probe.status': expected a "
		"status such as 200, or a range such as 200-399");
	refuse_text(HAPROXY "      backend: 'b #'\n",
		"c.yaml:11: key 'clusters.web.haproxy.backend': expected letters, "
		"digits, '.', '-', '_' and ':'");
	refuse_text(HAPROXY "      backend: b\n      server:\n        port: 80\n"
			    "        options: cookie {foo}\n",
		"c.yaml:14: key 'clusters.web.haproxy.server.options': expected {name}, "
		"{id}, {address}, {zone}, {weight} and no other braces, found 'cookie "
		"{foo}'");
	refuse_text(LEAST "    haproxy: {template: /t, config: /c, backend: b,\n"
			  "      stats-socket: /s}\n",
		"c.yaml:6: key 'clusters.web.haproxy': expected master-socket (haproxy "
		"-S) "
		"or a reload command");
	refuse_text(LEAST "    load-balancers: [{name: a, sync: []}]\n",
		"c.yaml:6: key 'clusters.web.load-balancers': expected a command in "
		"every "
		"'sync', found an empty list");
	refuse_text(LEAST "    load-balancers: [{name: a, sync: [x]},\n"
			  "      {name: a, sync: [y]}]\n",
		"c.yaml:6: key 'clusters.web.load-balancers': expected a different name "
		"for "
		"each");
}

static void test_names_stay_harmless(void **state)
{
	(void)state;
	refuse_text("clusters:\n  ../x:\n    cloud: c\n"
		    "    servers: {image: i, flavor: f, name: n}\n"
		    "    size: {min: 1, max: 2}\n",
		"c.yaml:3: cluster name '../x': expected 1 to 40 letters, digits, '-' or "
		"'_', beginning with a letter or digit");
	refuse_text("clusters:\n  web:\n    cloud: c\n"
		    "    servers: {image: i, flavor: f, name: 'a b'}\n"
		    "    size: {min: 1, max: 2}\n",
		"c.yaml:4: key 'clusters.web.servers.name': expected at most 58 letters, "
		"digits, '.', '-' or '_', found 'a b' after strftime(3)");
	refuse_text("clusters:\n  web:\n    cloud: \"a\\nb\"\n",
		"c.yaml:3: key 'clusters.web.cloud': expected one line of text, found "
		"'a?b'");
}

static void test_a_cluster_that_is_not_there_lists_those_that_are(void **state)
{
	struct cs_config *config = accept_text(LEAST
		"  api:\n    cloud: c\n    servers: {image: i, flavor: f, name: n}\n"
		"    size: {min: 1, max: 1}\n");
	const struct cs_cluster *cluster = NULL;
	struct cs_error err;

	(void)state;
	assert_int_equal(cs_config_cluster(config, "api", &cluster, &err), 0);
	assert_string_equal(cluster->name, "api");
	assert_int_equal(cs_config_cluster(config, "wbe", &cluster, &err), CS_E_CONFIG);
	assert_string_equal(err.message, "c.yaml has no cluster 'wbe'; it has: web, api");
	cs_config_free(config);
}

static void test_a_file_that_everybody_can_write_is_refused(void **state)
{
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);
	struct cs_config *config = NULL;
	struct cs_error err;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, LEAST, sizeof LEAST - 1), sizeof LEAST - 1);
	fchmod(fd, 0646);
	assert_int_equal(cs_config_load(path, &config, &err), CS_E_REFUSED);
	assert_non_null(strstr(err.message, "chmod o-w /tmp/test_config."));
	fchmod(fd, 0644);
	assert_int_equal(cs_config_load(path, &config, &err), 0);
	cs_config_free(config);
	unlink(path);
	assert_int_equal(cs_config_load(path, &config, &err), CS_E_CONFIG);
	CS_AUTO_FREE char *expected = cs_asprintf(
		"configuration: cannot read %s: No such file or directory; name another "
		"file with -f, or begin with the example: cp "
		"" CS_DOCDIR "/clusterscale.yaml %s",
		path, path);
	assert_string_equal(err.message, expected);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_fill_what_is_not_said),
		cmocka_unit_test(test_the_example_says_everything),
		cmocka_unit_test(test_units_of_times_and_loads),
		cmocka_unit_test(test_wrong_values_name_file_line_key_and_both_sides),
		cmocka_unit_test(test_unknown_and_missing_keys),
		cmocka_unit_test(test_keys_must_agree),
		cmocka_unit_test(test_names_stay_harmless),
		cmocka_unit_test(test_a_cluster_that_is_not_there_lists_those_that_are),
		cmocka_unit_test(test_a_file_that_everybody_can_write_is_refused),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
