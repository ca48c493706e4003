# What administrators start from.
EXTRA_DIST += contrib/clusterscale.yaml contrib/clouds.yaml
dist_doc_DATA = contrib/haproxy/haproxy.cfg.template
