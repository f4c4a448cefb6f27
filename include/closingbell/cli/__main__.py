"""python -m closingbell.cli"""

from closingbell.cli import main

main()
