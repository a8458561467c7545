from matlib.commands import start

start("score")
