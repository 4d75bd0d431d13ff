"""The module that Dify starts."""

from duck.sdk.start import start

plugin = start()

if __name__ == "__main__":
    plugin.run()
