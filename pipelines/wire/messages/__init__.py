"""The messages of the stream, one family a file: events, how they are read and written, and their ids."""
