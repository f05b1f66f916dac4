"""Other gateways, beside oq: how each is got and started."""
