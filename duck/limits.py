"""Duck's numbers, each with its reason. Most of them keep clear of what Dify's plugin daemon does (measured on 0.6.10)."""

# One response
KEEP_ALIVE_S = 15.0  # without an event; under the 30 s of silence after which common proxies hang up
LIFE_S = 590.0  # from the first chunk: at 600 s the daemon ends a response, with an error written into the body
MIN_LIFE_S = 0.1  # from the first chunk to the end: sooner, the daemon may cut; remote debugging needs more than 20 ms
MIN_LIFE_PER_RUN_S = 0.002  # and more while many runs keep the machine busy: what is slow then makes the daemon cut later
MAX_MIN_LIFE_S = 0.5  # of all that together
MAX_CHUNK = 256 * 1024  # bytes; doubled by the SDK's hex, still far from the 5 MiB line that kills the process
MAX_WHOLE = 1024 * 1024  # bytes of a body that goes out in one piece
MAX_LINE = 5_242_880  # bytes that leave the process in one line: the daemon kills it for one more, and with it all streams
BURST = 64  # chunks at once: half of the daemon's queue of 128, beyond which chunks are lost
CHUNKS_PER_S = 50.0  # after a burst: as smooth as a screen needs; a client that stalls for 3 s finds most of them in that queue
FEW_RUNS = 20  # up to here each event is sent at once
GATHER_PER_RUN_S = 0.000_22  # beyond: after each chunk a stream waits for more events, so that many of them share one core
MAX_GATHER_S = 0.05  # no eye sees it

# One run
SILENCE_S = 250  # of a streaming run: longer than Dify's own limit of 240 s, and what the SDK allows by itself
BLOCKING_SILENCE_S = 1230  # of a blocking run: Dify ends one after 1200 s, and should be the one to say so
SERVERLESS_RUN_S = 290.0  # of a whole run, if Dify runs the plugin as a function: it cuts one at 300 s without a reason
PARAMETERS_SILENCE_S = 5  # for a form, which is read from a database: longer means that Dify is in trouble

MAX_RUN = MAX_LINE - 4096  # bytes of a run's question and inputs: with all else there is, they are one line
MAX_SERVICE_RUN = 10 * 1024 * 1024  # the same by an app's own key: as much as may come in, since no line is in the way

# What an app takes
FORM_S = 60.0  # for which a form is believed; before anything is refused by one, it is fetched anew
UPLOAD_SILENCE_S = 10  # for the address of an upload; the SDK gives the upload itself as long
MAX_FORMS = 1_000  # that are kept: some 10 MB
MAX_END_USERS = 10_000  # of apps, that are remembered: some 3 MB
END_USER_S = 5.0  # for which a run waits until another has made its user

# Dify's Service API
SERVICE_CONNECT_S = 5.0  # it is in the same network as a rule, and who waits is somebody's browser
SERVICE_SILENCE_S = 60.0  # of a stream, in which Dify says "ping" every 10 s
SERVICE_IDLE_S = 1.0  # for which a connection is kept: Dify's server closes one after 2 s, and a run is never tried again
SERVICE_UPLOAD_S = 60.0  # for 10 MB on a slow line, and for Dify to store them

# All requests of a process
MAX_HEADER = 8192  # characters of a header that is read: as much as nginx takes; to weigh up a megabyte takes seconds
MAX_WRONG_KEYS = 20  # a minute, at one endpoint; after that, each further one waits
WRONG_KEY_S = 1.0  # for so long
LOG_MESSAGE = 20_000  # characters; what a longer one says, is said at its beginning

# All runs of a process
MAX_RUNS = 2_500  # of 56 KB each: more than the 2,000 that the daemon relays, since runs whose clients hung up keep their slots
MAX_WORKER = 3_000  # requests that the SDK works on at a time; the next would wait in silence, so there is room to say no
IDLE_S = 60.0  # a run that has been silent for so long makes way for a new one: its client has most likely gone
OVERLOADED_RETRY_S = 5  # until one of so many runs has ended, by far
