# make demo: real emoji styles, eight and a half minutes of training, pictures and numbers.   make test: what CI runs.
PYTHON ?= python3
VENV ?= .venv
MINUTES ?= 8.5
STYLES = twemoji,noto,openmoji,fluent-emoji,fluent-emoji-high-contrast,emojione
RUN = runs/demo
BIN = $(VENV)/bin

.PHONY: demo test lint install install-dev clean

demo: install
	@echo "== 1/5 fetch: six styles of emoji (npm packages, drawn here)"
	@$(BIN)/brushwork fetch emoji datasets/emoji --styles $(STYLES)
	@echo "== 2/5 pack: curate them into a data set of 32 px"
	@$(BIN)/brushwork pack datasets/emoji datasets/emoji-32 --resolution 32
	@echo "== 3/5 train: at most $(MINUTES) minutes"
	@$(BIN)/brushwork train emoji-32 --data datasets/emoji-32 --out $(RUN) --max-minutes $(MINUTES) --resume
	@echo "== 4/5 sample: grid, style mixing, truncation, interpolation"
	@$(BIN)/brushwork sample $(RUN)
	@echo "== 5/5 measure: are the styles kept?"
	@$(BIN)/brushwork fetch hed-vgg16
	@$(BIN)/brushwork measure $(RUN) --reference datasets/emoji-32
	@echo
	@echo "pictures: $(RUN)/generated/grid.png and the figures beside it"
	@echo "report:   $(RUN)/measure/report.html"

test: install-dev
	@echo "== lint, format, types, tests"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/python -m pytest -q -n $${BRUSHWORK_TEST_WORKERS:-2}

install: $(VENV)/.demo
install-dev: $(VENV)/.dev

$(VENV)/.demo: pyproject.toml
	@echo "== 0/5 install into $(VENV): PyTorch and friends, some minutes the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	@echo "== install into $(VENV), with the test tools: some minutes the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist *.egg-info
