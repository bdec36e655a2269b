"""Converts a network with Tenon for one batch size and number of threads, tuned on this machine as it is now.

    python bench/peers/convert.py DIR NETWORK BATCH THREADS
"""
import os
import sys


def converted_path(root, name, batch, threads):
    return f"{root}/tenon/{name}.b{batch}.t{threads}"


def main():
    import models
    import tenon
    root, name, batch, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    os.makedirs(f"{root}/tenon", exist_ok=True)
    tenon.convert(f"{root}/{name}", converted_path(root, name, batch, threads), shapes=models.shapes(name, batch), threads=threads,
                  min_gain=0, force=True)


if __name__ == "__main__":
    main()
