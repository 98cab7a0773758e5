"""What the apps ask for: one module per lesson, and the marking of exercises and reading of links that all share.

Pure functions from settings to recorded runs, tables and sentences. Bad settings come back as words, never as an
exception; nothing here knows marimo.
"""
