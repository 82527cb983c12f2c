# Functions that use a module imported by their own file.
import math


def calculate_circle_area(radius):
    return math.pi * radius**2


def factorial(n):
    return 1 if n <= 1 else n * factorial(n - 1)


def add_numbers(a, b):
    return a + b
