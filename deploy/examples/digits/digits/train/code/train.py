"""Trains a small neural network on scikit-learn's bundled handwritten digits and reports its progress.

Sluice tells the program where to write: SLUICE_OUTPUT_MODEL is a folder that becomes the model,
SLUICE_PROGRESS_FILE takes one JSON object per line.
"""
import json
import os
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HIDDEN = 48
EPOCHS = 40
LEARNING_RATE = 0.003
SECONDS_PER_EPOCH = float(os.environ.get("DIGITS_SECONDS_PER_EPOCH", "0.1"))  # slow enough to watch


def report(event, **fields):
    with open(os.environ.get("SLUICE_PROGRESS_FILE", os.devnull), "a", encoding="utf-8") as out:
        out.write(json.dumps({"sluice": 1, "ev": event, "t": time.time(), **fields}) + "\n")


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    digits = load_digits()
    train_x, valid_x, train_y, valid_y = train_test_split(
        digits.data / 16.0, digits.target, test_size=0.25, random_state=7, stratify=digits.target)
    model = MLPClassifier(hidden_layer_sizes=(HIDDEN,), learning_rate_init=LEARNING_RATE, random_state=7)
    report("start")
    accuracy = 0.0
    for epoch in range(1, EPOCHS + 1):
        began = time.monotonic()
        model.partial_fit(train_x, train_y, classes=np.arange(10))
        accuracy = float(model.score(valid_x, valid_y))
        report("progress", step=epoch, total=EPOCHS, metrics={"loss": float(model.loss_), "accuracy": accuracy})
        print(f"epoch {epoch}/{EPOCHS} loss {model.loss_:.4f} accuracy {accuracy:.4f}", flush=True)
        time.sleep(max(0.0, SECONDS_PER_EPOCH - (time.monotonic() - began)))

    folder = os.environ["SLUICE_OUTPUT_MODEL"]
    os.makedirs(folder, exist_ok=True)
    for name, values in {"w1": model.coefs_[0], "b1": model.intercepts_[0],
                         "w2": model.coefs_[1], "b2": model.intercepts_[1]}.items():
        np.save(os.path.join(folder, name + ".npy"), values.astype(np.float32))
    with open(os.path.join(folder, "model.json"), "w", encoding="utf-8") as out:
        json.dump({"inputs": 64, "classes": 10, "hidden": HIDDEN, "accuracy": accuracy}, out, sort_keys=True)
    report("final", ok=True, metrics={"accuracy": accuracy, "loss": float(model.loss_)})


if __name__ == "__main__":
    main()
