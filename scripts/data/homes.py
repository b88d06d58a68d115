"""Makes a table of homes by formulas with noise: price, monthly rent, whether sold within a month.

    python3 scripts/data/homes.py datasets/data/homes.csv
"""

import csv
import math
import random
import sys

ROWS = 1500
DISTRICTS = {"centre": 1.6, "north": 1.0, "south": 0.85, "harbour": 1.3, "hills": 1.15}


def home(chance):
    area = chance.triangular(25, 220, 75)
    rooms = max(1, round(area / 28 + chance.gauss(0, 0.6)))
    age = int(chance.triangular(0, 120, 35))
    distance = chance.uniform(0.2, 25)
    district = chance.choice(list(DISTRICTS))
    balcony = chance.random() < 0.55
    # What buyer and tenant agree on.
    worth = DISTRICTS[district] * math.exp(-0.02 * distance) * (1 + 0.06 * balcony)
    worth *= 1.15 - 0.3 * math.sin(min(age, 100) / 100 * math.pi)
    price = 3400 * area**0.95 * worth * math.exp(chance.gauss(0, 0.08))
    rent = 19 * area**0.82 * (1 + 0.03 * rooms) * worth**0.8 * math.exp(chance.gauss(0, 0.06))
    return {
        "area": f"{area:.1f}",
        "rooms": rooms,
        # Of some homes nobody knows the year.
        "age": "" if chance.random() < 0.05 else age,
        "distance": f"{distance:.2f}",
        "district": district,
        "balcony": "yes" if balcony else "no",
        "price": round(price, -2),
        "rent": round(rent),
        "sold": "yes" if chance.random() < 1 / (1 + math.exp(0.15 * distance + 0.02 * age - 2 * balcony - 1)) else "no",
    }


def main():
    chance = random.Random(7)
    rows = [home(chance) for _ in range(ROWS)]
    with open(sys.argv[1], "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


main()
