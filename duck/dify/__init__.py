"""All that knows Dify: the gateways to its apps, its events, its failures, and what guests see of them."""
