# What administrators start from.
EXTRA_DIST += contrib/clusterscale.yaml contrib/clouds.yaml
