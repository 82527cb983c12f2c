# Ends the kernel's process without a word: a death, not a time-out.
import os

os._exit(1)
