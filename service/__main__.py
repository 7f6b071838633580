"""`milepost …` and `python -m service …`."""

from service.cli.app import run


def main() -> None:
    run()


if __name__ == "__main__":
    main()
