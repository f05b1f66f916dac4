"""The dashboard in a real browser, against a real `oq serve` and the simulated Ollama behind it.

Left out, with a reason, where there is no Chromium or the page has not been built: `make test` sees
to both. Nothing here waits for a time to pass: Playwright's `expect` waits for what is expected.
"""
