"""How many cases generated tests try: `make fuzz` tries many more than `make test`. Neither depends on how long one takes.

`make test` tries the same ones each time, so that it says the same of the same code.
"""

import hypothesis

hypothesis.settings.register_profile("test", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile("test")
