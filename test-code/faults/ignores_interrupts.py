# Takes no notice of an interrupt: a run over its time costs the kernel.
import time

while True:
    try:
        time.sleep(3600)
    except KeyboardInterrupt:
        pass
