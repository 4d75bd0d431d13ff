"""Duck's core: what happens between an HTTP request and a Dify app.

A request goes one way through it:

    web          serve(): one request, from the first header to the last byte; the one place where errors become HTTP
    settings     what the owner has set, parsed
    access       who may call, which app they mean, and from which pages; `rates`: how often without a key
    negotiation  which format and language they want, and whether a GET is to run anything
    runs         what they ask for: a `Run`. `bodies` reads it and `parsing` its JSON, `forms` and `inputs` hold it against the
                 app's form, `files` are what came along
    gateway      the only module that talks to Dify; its failures become a `DuckError` here. `known`: what it was told of apps
    events       what Dify streams: reading it, folding it into one answer
    guests       what of it is shown to callers without a key
    reader       its reading, in a thread that can be given up
    stream       the pump: from events, as they come, to the chunks of a body that loses nothing on its way
    places       how many runs there may be at a time, and which makes way
    formats      how an event is written: json, ndjson, sse, text, html
    errors       `DuckError`, and what each of Dify's error texts means
    sdk          what is mended of the SDK; `transport`: what of it is done with less work
    journal      a line in the log for each request
    limits       all numbers, with their reasons

Everything from `events` down is pure: no session, no Werkzeug.
"""

__version__ = "0.1.0"
