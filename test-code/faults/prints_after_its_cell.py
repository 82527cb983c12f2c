# Prints when its cell is over, from a thread, a timer and a child process: never into the next cell.
import subprocess
import threading
import time


def print_late():
    time.sleep(0.3)
    print("late from a thread")


threading.Thread(target=print_late).start()
threading.Timer(0.3, print, ["late from a timer"]).start()
subprocess.Popen("sleep 0.3; echo late from a child", shell=True)
print("in time")
