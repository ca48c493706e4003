# The check plugins and their manual pages.
