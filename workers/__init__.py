"""The Celery side: the app, the timetable, and tasks of a few lines that call one use case. Nothing imports this."""
