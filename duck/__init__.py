"""Duck's core: from an HTTP request to a Dify app and back.

Imports go downwards only, from each line of this map to those below it; `sdk` is apart.

    faces/        the protocols that callers speak; each is a package
        api/          Duck's own: `serve` handles the routes, `run_request` parses requests, `negotiation` picks one of the
                      `formats`, of which `text` is one; `pending` tells of runs that are not over
        page/         what browsers get: `answers` to requests, `fields` of its forms, a `view` of the app, the `live` answer as
                      `fragments` and in `markdown`, the `index` of apps with a `curl` for each, a webhook's page (`hook`), all in
                      the same `frame` and in the `words` of four languages; apps have `marks` and a `theme` of their own, runs
                      that wait have forms for a `human`
            markdown/     the `dialect` that models write: what a line contains (`inline`), `formulas`, `notes` to fold; its
                          `renderer`, `colours` of code, safe `addresses`, the `budget` for all this, and `growing` texts
        service_api/  Dify's own paths: `serve` handles the routes, `api_request` parses requests, runs `stream`
        anthropic/    Anthropic's: `serve` handles the routes, requests are read by `messages`, answers are written by `events`
        openai/       OpenAI's: `serve` handles the routes. Chat Completions are read by `messages` and written by `chunks`,
                      Responses by `input` and `output`
        mcp/          MCP: `rpc` is its JSON-RPC, apps are `tools`, `results` are what they answer
        agui/         AG-UI's: `serve` handles the route, `run_input` parses requests, runs `stream` as its events
        a2a/          A2A: `serve` handles the routes, `messages` are what clients say, `tasks` what they get, a `card` is how
                      they find an app, `failures` are told; `legacy` is version 0.3
        webhook/      what other systems send: `handshakes` and `payloads`, their `placing` in an app's inputs and `previews` of
                      that, also for `samples`; `feishu` encrypts
        asking        from what a client says to its model to a run; its `messages` and other `fields`, apps as its `models`
        reply         from a run to one message of a chat
        tokens        signed ids by which clients continue a conversation
        jsonrpc       what the protocols that are made of JSON-RPC have in common
    long_runs     runs whose callers do not wait for the answer, and forms that people fill in while a run waits
    invocation    from a request to a run that has passed all checks; the only module by which faces run apps
    apps          what apps are: their gateways, names, forms and kinds
    exchange      one HTTP request and its answer; the one place where errors become responses
    state         what a process keeps from one request to the next
    routes        the table of routes, read from `group/`
    callers/      who calls: the owner's `settings` (with their `urls`), `access` by keys and origins, `rates`; `senders` of
                  webhooks by their `signatures`, and each of their `deliveries` once
    dify/         all that knows Dify
        gateway       what both gateways share: `session` runs apps through the plugin, `service` by their own keys
        forwarding    requests that are passed on to Dify as they are
        memory        what is remembered of apps: a `cache` of forms, the `end_users` that exist
        site          how an app's owner wants it to look
        events        Dify's events, folded into one answer or unfolded from it; `parser` turns them into `parts` for faces
        kept          what Dify keeps of runs: by `run_ids`, with `human_forms`; `readings` are those that Duck still reads
        guests        what guests see of all this; they get no `thoughts` of models
        failures      what Dify's errors mean, by the `failure_texts`
    runs/         from a request to a `run` that fits the app's form
        bodies        the fields of a request, from JSON (`parsing`), forms (`fields`, `percent`-encoded) or `multipart` bodies,
                      in any of `charsets`
        inputs        inputs checked against the form (`forms`); `attachments` are inputs that are `files`
    streams/      from events to the chunks of a response
        pump          writes events as they come, in a format (`format`: `sse`, `ndjson`; `json` encodes)
        reader        reads events in a thread that can be given up, by the `terms` of the run
        slots         how many runs there may be at a time
    journal       one line in the log for each request
    errors        `DuckError`
    texts, limits, clock, offload   translatable sentences; numbers; time; long computations
    sdk/          `start` for `main.py`, `patches` and a faster `transport`; delete it, and Duck still runs, on the SDK as it is
"""

__version__ = "0.1.0"
