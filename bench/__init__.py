"""Speed, and volume: the real plugin process, alone behind pipes or behind devhost with many clients. `python -m bench --help`.

speed.py      what Duck costs, next to a relay on the stock SDK that does nothing: `python -m bench.speed`, RESULTS.md
driver.py     a plugin process behind pipes, for that
report.py     its tables
baseline/     the relays that it is compared with

runs.py       what a run of an app sends, and what each format must make of it
apps.py       the apps, for `python -m devhost --apps`
host.py       devhost in a process of its own, with a copy of Duck that tells how many runs it holds
clients.py    clients that read, read slowly, or hang up
soak.py       all of them together for a while
volume.py     one kind of load at a time
"""
