"""The program: its arguments, the commands' usage and output, messages and exit codes."""
