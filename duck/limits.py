"""Numbers that keep Duck clear of the platform's limits, each with its reason. Those of the daemon were measured on 0.6.10."""

# One response
KEEP_ALIVE_S = 15.0  # without a byte until a keep-alive is sent: common proxies hang up after 30 s
LIFE_S = 590.0  # after the first chunk Duck ends a response: at 600 s the daemon ends it, with an error written into the body
MIN_LIFE_S = 0.1  # between first chunk and end: the daemon may cut a shorter response; remote debugging needs more than 20 ms
MIN_LIFE_PER_RUN_S = 0.002  # added for each other run, because the daemon cuts later when the machine is busy
MAX_MIN_LIFE_S = 0.5  # of these together
MAX_CHUNK = 256 * 1024  # bytes; the SDK's hex doubles them, and a line of 5 MiB kills the process
MAX_WHOLE = 1024 * 1024  # bytes of a body that is sent in one piece
MAX_LINE = 5_242_880  # bytes of a line to the daemon, which kills the process for one more byte, and all streams with it
BURST = 64  # chunks at once: half of the daemon's queue of 128, beyond which chunks are lost
CHUNKS_PER_S = 50.0  # after a burst: smooth on a screen, and the queue holds what comes while a client stalls for 3 s
FEW_RUNS = 20  # up to this many runs each event is sent at once
GATHER_PER_RUN_S = 0.000_22  # beyond, a stream waits this long for each further run, so that one chunk carries several events
MAX_GATHER_S = 0.05  # too short to be seen

# One run
SILENCE_S = 250  # of a streaming run: longer than Dify's own limit of 240 s, and the SDK's default
BLOCKING_SILENCE_S = 1230  # of a blocking run: Dify ends one after 1200 s and should be the one to report it
SERVERLESS_RUN_S = 290.0  # of a whole run, if Dify runs the plugin as a function: it cuts one at 300 s without a reason
LISTING_S = 2.0  # for what Dify tells of all apps of a list
PARAMETERS_SILENCE_S = 5  # for a form, which Dify reads from a database

MAX_RUN = MAX_LINE - 4096  # bytes of a run's question and inputs, which are sent in one line with little else
MAX_SERVICE_RUN = 10 * 1024 * 1024  # the same by an app's own key, where no line limits it: as much as a request may have

# Apps
FORM_S = 60.0  # for which a form is cached; it is fetched anew before anything is refused by it
UPLOAD_SILENCE_S = 10  # for the address of an upload; the SDK gives the upload itself as long
MAX_FORMS = 1_000  # in the cache: some 10 MB
MAX_END_USERS = 10_000  # that are remembered: some 3 MB
MAX_CONVERSATIONS = 10_000  # that are remembered by what was said in them: some 2 MB
END_USER_S = 5.0  # for which a run waits until another run has created its end user

# Dify's Service API
SERVICE_CONNECT_S = 5.0  # it is usually in the same network
SERVICE_SILENCE_S = 60.0  # of a stream, in which Dify sends a ping every 10 s
SERVICE_IDLE_S = 1.0  # for which a connection is kept: Dify's server closes one after 2 s, and a run is never sent twice
MAX_FORWARDED = 50 * 1024 * 1024  # bytes of an answer that is passed on: it is in memory as a whole
SERVICE_UPLOAD_S = 60.0  # for 10 MB on a slow line, and for Dify to store them

# Long runs and forms of people
POLL_S = 3.0  # between two looks whether a run is over that Dify does not stream
MIN_RETRY_S = 2  # until a caller should ask again for a run that has just begun
MAX_RETRY_S = 60  # the same for one that has run for ten minutes or more
MAX_RUN_ID = 110  # characters: three UUIDs
MAX_OUTCOMES = 100  # of runs whose answers Dify does not keep: some 1 MB

# Webhooks
MAX_PAYLOAD = 5 * 1024 * 1024  # bytes of a body: it goes into an app in one line to the daemon, and may be logged by Dify
ACCEPTED_S = 0.8  # until a sender is told that its delivery is accepted: some hang up after a second or three
DELIVERY_S = 24 * 3600.0  # for which a delivery is remembered: most senders have given up by then
MAX_DELIVERIES = 10_000  # that are remembered: some 10 MB
MAX_WAITING = 100  # repeats that wait for the first of their kind, of all deliveries together
REPEAT_S = 20.0  # for which one waits: the first may have hung up, and then nobody learns that its run is over

# All requests of a process
MAX_HEADER = 8192  # characters of a header that is parsed, as in nginx; parsing a megabyte takes seconds
MAX_WRONG_KEYS = 20  # in a minute at one endpoint, before each further one has to wait
WRONG_KEY_S = 1.0  # for which it waits
LOG_MESSAGE = 20_000  # characters

# All runs of a process
MAX_RUNS = 2_500  # of 56 KB each: more than the 2,000 that the daemon relays, since runs whose clients hung up keep their slots
MAX_WORKER = 3_000  # requests that the SDK works on at a time; further ones wait, so there must be room to refuse a run
IDLE_S = 60.0  # of silence, after which a run can be evicted: its client has most likely gone
OVERLOADED_RETRY_S = 5  # by then one of so many runs has ended
