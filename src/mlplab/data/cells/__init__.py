"""How the texts of cells are read: numbers, dates, booleans, and levels with an order."""
