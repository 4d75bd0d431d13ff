"""From the events of a run to the chunks of a response, none of which is lost on the way."""
