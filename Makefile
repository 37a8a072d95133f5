# The commands of this project; `make help` lists them. The work itself is in bin/, so that it can be read.

.PHONY: help run test faults soak bench bench-quick autobahn lint clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  |/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || grep '## ' $(MAKEFILE_LIST)

# One simple command, which make starts without a shell in between: Ctrl-C reaches the server itself.
run: ## set up what is missing, then serve (PORT=8000 HOST=127.0.0.1 DATA_DIR=var)
	@bin/run

test: ## set up what is missing, then run every test
	@bin/test

faults: ## the guarantee under every fault; about 15 minutes (FAULTS="redis-frozen late-commits")
	@bin/faults $(FAULTS)

soak: ## a random fault every 20 s for a long time (MINUTES=20 READERS=2000)
	@bin/faults soak --minutes $(or $(MINUTES),20) --readers $(or $(READERS),2000)

bench: ## how fast it is, beside Nchan and others; about 10 minutes, writes docs/benchmarks.md (SECTIONS="fanout sending")
	@bin/bench $(SECTIONS)

bench-quick: ## the same with fewer rounds and smaller numbers, in 2 minutes; writes nothing
	@bin/bench --quick $(SECTIONS)

autobahn: ## the Autobahn test suite against ours and stock Uvicorn; 40 s, needs a Python 2.7
	@bin/bench autobahn

lint: ## ruff and mypy --strict
	@bin/lint

clean: ## remove the virtual environments and caches; var/, where your notices are, stays
	rm -rf .venv .venv-next .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
