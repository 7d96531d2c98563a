"""The running kernel: maps, programs, attachments, events."""
