"""Milepost: training newsletters that people asked for, sent to nobody else, never twice.

Start with ARCHITECTURE.md: it draws the layers and walks one sign-up and one campaign through them.
"""
