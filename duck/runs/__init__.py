"""From a request to a run that fits the app's form. Pure."""
