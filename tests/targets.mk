# The targets for people: set-up, demo, tests, lint, install.

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9_.-]+:.*## ' Makefile tests/targets.mk | sed -E 's/^([^:]+):.*## /\1\t/' | sort | \
		awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'
