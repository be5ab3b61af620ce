"""``python -m conduit``: the command line, also where no scripts are installed."""

from conduit.cli import main

if __name__ == "__main__":
    main()
