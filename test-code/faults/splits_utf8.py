# Writes one character in two pieces, past Python's own streams: it arrives whole.
import os
import time

for piece in ("€\n".encode()[:2], "€\n".encode()[2:]):
    os.write(1, piece)
    time.sleep(0.2)
