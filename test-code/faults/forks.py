# Leaves a child in a session of its own behind: it ends with the kernel, not later.
import os
import time

child = os.fork()
if child == 0:
    os.setsid()
    time.sleep(3600)
    os._exit(0)
print(child)
