"""Benchmarks of speed and volume, with the real plugin process: behind pipes, or behind devhost with many clients.

speed.py      CPU, delay and memory, compared with a relay on the stock SDK that does nothing; writes RESULTS.md
attacks.py    how long one expensive request delays the streams of others
driver.py     a plugin process behind pipes, for both
report.py     tables and goals of speed.py
baseline/     the relays that speed.py compares with

runs.py       what a run of an app sends, and what a client must get of it in each format
apps.py       the apps, for `python -m devhost --apps`
host.py       devhost in a process of its own, with a copy of Duck that reports how many runs it holds
clients.py    clients that read, read slowly, or hang up
soak.py       clients of all kinds together
volume.py     one kind of load at a time
"""
