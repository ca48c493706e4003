# What administrators start from.
MAN5 += contrib/clusterscale.yaml.5
MAN7 += contrib/clusterscale.7
EXTRA_DIST += contrib/clusterscale.yaml.5.scd contrib/clusterscale.7.scd
dist_doc_DATA = contrib/clusterscale.yaml contrib/clouds.yaml \
	contrib/haproxy/haproxy.cfg.template contrib/nagios/clusterscale.cfg
icinga2dir = $(docdir)/icinga2
dist_icinga2_DATA = contrib/icinga2/commands.conf contrib/icinga2/services.conf contrib/icinga2/zones.conf
EXTRA_DIST += contrib/demo.svg contrib/replay.svg

# The example that is installed calls what is installed.
install-data-hook:
	$(our_paths) $(srcdir)/contrib/clusterscale.yaml >$(DESTDIR)$(docdir)/clusterscale.yaml

# The reconcile timers, a cron table, a sudo rule and AppArmor profiles: documentation, and parts of the system
# where asked for.
SERVICES = contrib/systemd/clusterscale-reconcile@.service \
	contrib/systemd/clusterscale-haproxy@.service
TIMERS = contrib/systemd/clusterscale-reconcile@.timer contrib/systemd/clusterscale-haproxy@.timer
WITH_PATHS = $(SERVICES) contrib/systemd/reconcile-without-sudo.conf contrib/cron/clusterscale \
	contrib/sudoers.d/clusterscale contrib/apparmor/clusterscale contrib/nagios/nrpe.cfg \
	contrib/zabbix/template.yaml contrib/zabbix/clusterscale.conf
TEMPLATES = contrib/systemd/clusterscale-reconcile@.service.in \
	contrib/systemd/clusterscale-haproxy@.service.in \
	contrib/systemd/reconcile-without-sudo.conf.in contrib/cron/clusterscale.in \
	contrib/sudoers.d/clusterscale.in contrib/apparmor/clusterscale.in \
	contrib/nagios/nrpe.cfg.in contrib/zabbix/template.yaml.in contrib/zabbix/clusterscale.conf.in
EXTRA_DIST += $(TEMPLATES)
CLEANFILES += $(WITH_PATHS)
nagiosdir = $(docdir)/nagios
nagios_DATA = contrib/nagios/nrpe.cfg
zabbixdir = $(docdir)/zabbix
zabbix_DATA = contrib/zabbix/template.yaml contrib/zabbix/clusterscale.conf
dist_zabbix_SCRIPTS = contrib/zabbix/setup
crondir = $(docdir)/cron
sudoersdir = $(docdir)/sudoers.d
profilesdir = $(docdir)/apparmor
unitsdir = $(docdir)/systemd
cron_DATA = contrib/cron/clusterscale
sudoers_DATA = contrib/sudoers.d/clusterscale
profiles_DATA = contrib/apparmor/clusterscale
units_DATA = $(SERVICES) contrib/systemd/reconcile-without-sudo.conf
dist_units_DATA = $(TIMERS)
if SYSTEM_UNITS
systemdsystemunit_DATA = $(SERVICES) $(TIMERS)
endif
if SYSTEM_APPARMOR
apparmor_DATA = contrib/apparmor/clusterscale
endif
$(WITH_PATHS): $(TEMPLATES)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(our_paths) $(srcdir)/$@.in >$@.tmp && mv $@.tmp $@

# Completions of bash and zsh, made of each program's --help.
COMPLETED = check_cluster_cpu check_cluster_drift haproxy_sync nova_scale scale_replay
BASH_COMPLETIONS = $(COMPLETED:%=contrib/completions/bash/%)
ZSH_COMPLETIONS = $(COMPLETED:%=contrib/completions/zsh/_%)
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
nodist_bashcompletion_DATA = $(BASH_COMPLETIONS)
nodist_zshcompletion_DATA = $(ZSH_COMPLETIONS)
EXTRA_DIST += contrib/completions/completions.sh
CLEANFILES += $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS)
$(BASH_COMPLETIONS) $(ZSH_COMPLETIONS): contrib/completions/completions.sh $(plugin_PROGRAMS) $(handler_PROGRAMS)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && program=`echo $(@F) | sed s/^_//` && \
	{ test -f handlers/$$program && program=handlers/$$program || program=plugins/$$program; } && \
	$(SHELL) $(srcdir)/contrib/completions/completions.sh `basename $(@D)` $$program >$@.tmp && mv $@.tmp $@

# Debian's packages are built of the source archive: ./dev package.
EXTRA_DIST += contrib/debian
