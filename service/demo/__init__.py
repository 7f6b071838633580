"""The demo: real servers on this machine, a seeded hub and a mail catcher. Nothing in it can reach a real inbox."""
