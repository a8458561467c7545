from matlib.commands import main

main()
