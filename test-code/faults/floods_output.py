# Prints as fast as it can for ever: server and kernel stay well, the head and the tail are kept.
line = 0
while True:
    print(f"line {line}", "x" * 80)
    line += 1
