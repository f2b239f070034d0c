"""Makes trigrams.bin: which three-letter sequences ordinary words are made of.

    python3 trigrams.py OUTPUT < LIST_OF_TEXT_FILES

One bit for each of 26^3 sequences, lowest bit first, in the order aaa, aab, ... A sequence is set
when it stands in at least two different words that occur often enough not to be noise.
"""

import collections
import re
import sys

LEAST_OCCURRENCES = 12
LEAST_WORDS = 2


def main(output, paths):
    words = collections.Counter()
    for path in paths:
        with open(path, encoding="utf-8", errors="ignore") as file:
            words.update(re.findall(r"(?<![A-Za-z0-9_])[a-z]{3,14}(?![A-Za-z0-9_])", file.read()))
    having = collections.Counter()
    for word, occurrences in words.items():
        if occurrences >= LEAST_OCCURRENCES:
            having.update({word[i : i + 3] for i in range(len(word) - 2)})
    bits = bytearray((26**3 + 7) // 8)
    for trigram, count in having.items():
        if count >= LEAST_WORDS:
            a, b, c = (ord(letter) - 97 for letter in trigram)
            number = (a * 26 + b) * 26 + c
            bits[number // 8] |= 1 << number % 8
    with open(output, "wb") as file:
        file.write(bits)
    print(sum(bin(byte).count("1") for byte in bits), "of", 26**3)


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.read().splitlines())
