# A function and the constant that it uses: both are there in the session.
GREETING = "Hello"


def greet(name):
    return f"{GREETING}, {name}!"
