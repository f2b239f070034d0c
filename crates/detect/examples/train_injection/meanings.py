"""Makes assets/injection/meanings.txt: English words grouped by meaning, for the injection classifier.

python3 meanings.py MODEL_FOLDER > assets/injection/meanings.txt

MODEL_FOLDER holds `model.safetensors` and `tokenizer.json` of all-MiniLM-L6-v2 (Apache-2.0). Of it only the table of
word vectors is looked at: its whole words fall into 2,048 meanings, those into 256 groups, those into 60 fields, by
k-means with a fixed seed. `meanings_like.txt` puts words that the table lacks beside one that it has. Needs numpy.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

MEANINGS, GROUPS, FIELDS, DIMENSIONS = 2048, 256, 60, 128


def vectors(folder: Path):
    with (folder / "model.safetensors").open("rb") as file:
        head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        name = next(name for name in head if name.endswith("word_embeddings.weight"))
        start = file.tell() + head[name]["data_offsets"][0]
        table = np.memmap(file, np.float32, "r", start, tuple(head[name]["shape"]))
        vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        by_number = sorted(vocabulary.items(), key=lambda item: item[1])
        words = [word for word, _ in by_number if word.isalpha() and word.isascii() and len(word) > 1]
        rows = table[[vocabulary[word] for word in words]].astype(np.float64)
    rows -= rows.mean(0)
    axes = np.linalg.svd(rows.T @ rows)[0]
    # The first axis is how frequent a word is.
    return words, unit(rows @ axes[:, 1 : DIMENSIONS + 1]).astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def k_means(rows, count, rounds, dice):
    centres = rows[dice.choice(len(rows), count, replace=False)].copy()
    for _ in range(rounds):
        nearest = (rows @ centres.T - 0.5 * (centres * centres).sum(1)).argmax(1)
        sums = np.zeros((count, rows.shape[1]), np.float32)
        np.add.at(sums, nearest, rows)
        sizes = np.bincount(nearest, minlength=count)
        for empty in np.where(sizes == 0)[0]:
            sums[empty], sizes[empty] = rows[dice.integers(len(rows))], 1
        centres = sums / sizes[:, None]
    return nearest, centres


def main():
    words, rows = vectors(Path(sys.argv[1]))
    dice = np.random.default_rng(1)
    meaning, centres = k_means(rows, MEANINGS, 12, dice)
    group, group_centres = k_means(unit(centres), GROUPS, 25, dice)
    field, _ = k_means(unit(group_centres), FIELDS, 30, dice)
    lines = {number: [] for number in range(MEANINGS)}
    place = {}
    for word, number in zip(words, meaning):
        lines[number].append(word)
        place[word] = number
    for line in Path(__file__).with_name("meanings_like.txt").read_text().splitlines():
        known, others = line.split(": ")
        listed = [known, *others.split()]
        # A heading that the table lacks is put beside the first word that it has.
        beside = next((word for word in listed if word in place), None)
        for word in listed if beside else []:
            if word not in place:
                place[word] = place[beside]
                lines[place[beside]].append(word)
    for number in range(FIELDS):
        groups = [
            [" ".join(lines[one]) for one in np.where(group == inside)[0] if lines[one]]
            for inside in np.where(field == number)[0]
        ]
        groups = ["\n".join(inside) for inside in groups if inside]
        if groups:
            print("#", "\n\n".join(groups), sep="\n")


main()
