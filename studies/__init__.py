"""Ready-made studies, one file each; a file's study is its variable ``study``."""
