# Wants a gigabyte and touches every page of it: the memory limit ends the kernel, not the server.
block = bytearray(1024**3)
for page in range(0, len(block), 4096):
    block[page] = 1
