"""Where results are tracked beside their folder: the sinks, each in a folder of its own."""
