"""From events, as they come, to the chunks of a body that loses nothing on its way."""
