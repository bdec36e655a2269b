"""Accuracy of the digits model on the held-out images, through tenon.Session. Needs NumPy and the tenon package only.

usage: python evaluate.py MODEL...      (SavedModel folders, converted or not)
"""
import pathlib
import sys

import numpy as np
import tenon

FOLDER = pathlib.Path(__file__).resolve().parent


def evaluate(model):
    images, labels = np.load(FOLDER / "images.npy"), np.load(FOLDER / "labels.npy")
    session = tenon.Session(model)
    result = session.run({"image": images})
    right = int((result["digit"] == labels).sum())
    engines = sum(engine.loaded for engine in session.engines)
    print(f"{model}: {right} of {len(labels)} right ({100 * right / len(labels):.2f} %), {engines} engine(s); "
          f"the first image is {result['name'][0].decode()!r}")
    return result["probabilities"]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    probabilities = [evaluate(model) for model in sys.argv[1:]]
    for model, other in zip(sys.argv[2:], probabilities[1:]):
        print(f"largest difference of a probability between {sys.argv[1]} and {model}: {np.abs(other - probabilities[0]).max():.2e}")


if __name__ == "__main__":
    main()
