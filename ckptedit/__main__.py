from ckptedit.cli import main

main()
