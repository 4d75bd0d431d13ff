"""Duck's core: what happens between an HTTP request and a Dify app.

A request goes one way through it, and nothing imports what stands above it:

    faces/     the protocols that callers speak
        api/       Duck's own: what each route does (`serve`), what a request asks for, and in which format it is answered
        page/      what browsers get
    exchange   one request, from the first header to the last byte; the one place where errors become HTTP
    invocation the one way to an app, with all that keeps everybody safe
    state      what a process keeps from one request to the next
    routes     which routes there are, by `group/duck.yaml`
    callers/   what the owner has set (`settings`), who may call which app (`access`), and how often (`rates`)
    dify/      all that knows Dify
        gateway    what both ways to apps have in common; `session`: by the plugin; `service`: by their own keys
        cache      what Dify has told of apps, for a minute; `end_users`: which of its users there are
        events     reading what Dify streams, and folding it into one answer
        failures   what each of Dify's errors means
        guests     what of all this is shown to callers without a key
    runs/      from a request to a run that fits the app's form: `bodies` reads it and `parsing` its JSON, `forms` and `inputs`
               hold it against the form, `files` are what came along
    streams/   from events, as they come, to the chunks of a body that loses nothing on its way
        reader     reads events in a thread that can be given up; `slots`: how many runs there may be at a time
        pump       from events to chunks
        sse, ndjson, json   how they are written
    errors     `DuckError`, and those that more than one place raises
    limits     the numbers that keep clear of the platform, with their reasons
    journal    a line in the log for each request
    sdk/       work on Dify's SDK itself, without which Duck would still run
"""

__version__ = "0.1.0"
