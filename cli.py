#!/usr/bin/env python3
"""Run the invrob command line from a checkout: `python cli.py theory check --p 0.7`."""

from invrob.cli import main

if __name__ == "__main__":
    main()
