"""`python -m recdistill` is the command line."""

from recdistill.cli import main

if __name__ == "__main__":
    main()
