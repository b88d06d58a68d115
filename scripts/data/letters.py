"""Draws letters as small grey images, in the columns of the table of digits.

    apt-get install fonts-dejavu
    pip install numpy pillow pyarrow
    python3 scripts/data/letters.py datasets/data/letters.parquet

Each of the 26 capital letters is drawn 100 times at 64 x 64, in a random one of DejaVu's fonts,
turned, moved and scaled a little. Each of the 8 x 8 pixels is the mean of a square, from 0 to 16.
"""

import random
import string
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

FONTS = sorted(Path("/usr/share/fonts/truetype/dejavu").glob("*.ttf"))
EACH = 100
SIDE, PIXELS, MAX = 64, 8, 16


def draw(letter, chance):
    font = ImageFont.truetype(str(chance.choice(FONTS)), chance.randint(46, 62))
    image = Image.new("L", (SIDE, SIDE))
    centre = (SIDE / 2 + chance.uniform(-4, 4), SIDE / 2 + chance.uniform(-4, 4))
    ImageDraw.Draw(image).text(centre, letter, font=font, fill=255, anchor="mm")
    image = image.rotate(chance.uniform(-12, 12), resample=Image.Resampling.BILINEAR)
    square = SIDE // PIXELS
    means = np.asarray(image, dtype=float).reshape(PIXELS, square, PIXELS, square).mean(axis=(1, 3))
    return np.rint(means * MAX / 255).astype(np.float32).ravel()


def main():
    chance = random.Random(1)
    letters = [letter for letter in string.ascii_uppercase for _ in range(EACH)]
    chance.shuffle(letters)
    images = np.stack([draw(letter, chance) for letter in letters])
    columns = {f"pixel_{pixel:02}": images[:, pixel] for pixel in range(PIXELS * PIXELS)}
    pq.write_table(pa.table({**columns, "letter": letters}), sys.argv[1], compression="zstd", compression_level=19)


main()
