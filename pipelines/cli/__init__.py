"""The command line. Every command is a file with its line of help, its options, and the function that runs it."""
