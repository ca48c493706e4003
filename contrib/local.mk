# What administrators start from.
