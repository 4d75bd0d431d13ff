"""Volume and time: the real plugin process behind devhost, driven by many clients of every kind. `python -m bench --help`.

runs.py       what a run of an app sends, and what each format must make of it
apps.py       the apps, for `python -m devhost --apps`
host.py       devhost in a process of its own, with a copy of Duck that tells how many runs it holds
clients.py    clients that read, read slowly, or hang up
soak.py       all of them together for a while
volume.py     one kind of load at a time
"""
