"""The classroom, live: learning rules race in a browser. The command is `minigrad live`."""
