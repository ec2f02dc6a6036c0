"""Where a finished study is handed to: one folder a service."""
