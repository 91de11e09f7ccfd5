"""`python -m trimtab` is the command line."""

from trimtab.app.cli import main

if __name__ == "__main__":
    main()
