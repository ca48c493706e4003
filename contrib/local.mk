# What administrators start from.
MAN5 += contrib/clusterscale.yaml.5
EXTRA_DIST += contrib/clusterscale.yaml.5.scd
dist_doc_DATA = contrib/clusterscale.yaml contrib/clouds.yaml \
	contrib/haproxy/haproxy.cfg.template
EXTRA_DIST += contrib/demo.svg
	contrib/haproxy/haproxy.cfg.template contrib/nagios/clusterscale.cfg
