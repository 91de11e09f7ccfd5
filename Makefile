# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo/restaurant-booker
# Without these the allocator returns memory after each step, and training pays for page faults.
export MALLOC_MMAP_THRESHOLD_ := 4294967296
export MALLOC_TRIM_THRESHOLD_ := 4294967296
export MALLOC_TOP_PAD_ := 268435456

.PHONY: demo test format docs clean

$(READY): pyproject.toml constraints.txt
	@echo "== making $(VENV) and installing pinned versions (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	@echo "== the bundled model"
	$(BIN)/trimtab model add smollm2-135m-instruct
	@echo "== the loop on restaurant-booker (under 10 minutes on 2 cores; Ctrl-C and 'make demo' goes on)"
	@test -d $(DEMO) || $(BIN)/trimtab init restaurant-booker $(DEMO)
	@$(BIN)/trimtab steer $(DEMO)/charter.yaml --out $(DEMO)/runs/first; \
	  status=$$?; test $$status -le 1 || exit $$status
	@test -f $(DEMO)/runs/first/report.html || { echo "== no report was written"; exit 1; }
	@echo "== done: open $(DEMO)/runs/first/report.html"

test: $(READY)
	@echo "== format"
	$(BIN)/ruff format --check .
	@echo "== lint"
	$(BIN)/ruff check .
	@echo "== types"
	$(BIN)/mypy
	@echo "== the bundled model, for the tests that load it"
	$(BIN)/trimtab model add smollm2-135m-instruct
	@echo "== tests"
	$(BIN)/pytest

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)
	$(BIN)/cog -r -I docs docs/*.md

clean:
	rm -rf $(VENV) demo
