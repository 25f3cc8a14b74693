"""The commands of each half: parse, call, print. No logic lives here."""
