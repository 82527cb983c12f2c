# A second file of the same folder: its prints go to the executor's log.
def format_currency(amount):
    return f"${amount:,.2f}"


def format_percentage(value):
    return f"{value:.1f}%"


print("Formatters loaded")
