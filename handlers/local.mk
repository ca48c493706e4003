# The event handlers and their manual pages.
