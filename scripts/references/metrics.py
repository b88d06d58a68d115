"""Reference values of the metrics, for model/tests/metrics.rs.

Computes scikit-learn 1.9.1's metrics (SciPy 1.17.1's rank correlation) on one artificial table for each kind of task, and prints
JSON: the head's outputs, the labels and the values. Outputs are multiples of 1/8, so that scores
tie. Those of classes are finer: equal probabilities may differ after rounding.

    python scripts/references/metrics.py > model/tests/goldens/metrics.json
"""

import json

import numpy
from scipy import stats
from sklearn import metrics

ROWS = 120


def outputs(random, labels, width, parts=8):
    """Logits that say something of the labels, `[rows, width]`, in multiples of 1/parts."""
    signal = numpy.eye(width)[labels] if labels.ndim == 1 and width > 1 else labels.reshape(-1, width)
    return numpy.round(parts * (signal + random.standard_normal((len(labels), width)))) / parts


def softmax(logits):
    exponentials = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def multiclass(random, classes, present):
    labels = random.choice(present, size=ROWS, p=numpy.arange(1, len(present) + 1) / sum(range(1, len(present) + 1)))
    logits = outputs(random, labels, classes, parts=2**16)
    scores, predicted = softmax(logits), logits.argmax(axis=1)
    indicators = numpy.eye(classes)[labels]
    # One class against the rest, and the mean over the classes that have rows.
    if len(present) == classes:
        auroc = metrics.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    else:
        auroc = metrics.roc_auc_score(indicators[:, present], scores[:, present], average="macro")
    return labels, logits, {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "precision_macro": metrics.precision_score(labels, predicted, average="macro", zero_division=0),
        "recall_macro": metrics.recall_score(labels, predicted, average="macro", zero_division=0),
        "f1_macro": metrics.f1_score(labels, predicted, average="macro"),
        "auroc": auroc,
        "average_precision": metrics.average_precision_score(indicators[:, present], scores[:, present], average="macro"),
    }


def binary(random):
    labels = random.integers(2, size=ROWS)
    logits = outputs(random, labels, 1)
    scores, predicted = logits[:, 0], (logits[:, 0] > 0).astype(int)
    return labels, logits, {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "precision": metrics.precision_score(labels, predicted),
        "recall": metrics.recall_score(labels, predicted),
        "f1": metrics.f1_score(labels, predicted),
        "precision_macro": metrics.precision_score(labels, predicted, average="macro", zero_division=0),
        "recall_macro": metrics.recall_score(labels, predicted, average="macro", zero_division=0),
        "f1_macro": metrics.f1_score(labels, predicted, average="macro"),
        "auroc": metrics.roc_auc_score(labels, scores),
        "average_precision": metrics.average_precision_score(labels, scores),
    }


def multilabel(random, width):
    labels = (random.random((ROWS, width)) < numpy.linspace(0.2, 0.7, width)).astype(int)
    logits = outputs(random, labels, width)
    predicted = (logits > 0).astype(int)
    return labels, logits, {
        "accuracy": (labels == predicted).mean(),
        "precision_macro": metrics.precision_score(labels, predicted, average="macro", zero_division=0),
        "recall_macro": metrics.recall_score(labels, predicted, average="macro", zero_division=0),
        "f1_macro": metrics.f1_score(labels, predicted, average="macro"),
        "auroc": metrics.roc_auc_score(labels, logits, average="macro"),
        "average_precision": metrics.average_precision_score(labels, logits, average="macro"),
    }


def regression(random, width):
    labels = numpy.round(8 * random.standard_normal((ROWS, width))) / 8
    values = outputs(random, labels, width)
    # Away from 0, so that the absolute percentage error says something.
    labels, values = labels + 20, values + 20
    return labels, values, {
        "rmse": metrics.root_mean_squared_error(labels, values),
        "mae": metrics.mean_absolute_error(labels, values),
        "mape": metrics.mean_absolute_percentage_error(labels, values),
        "r2": metrics.r2_score(labels, values),
        "spearman": numpy.mean([stats.spearmanr(labels[:, i], values[:, i]).statistic for i in range(width)]),
    }


def case(kind, found):
    labels, values, expected = found
    return {
        "kind": kind,
        "width": values.shape[1],
        "outputs": values.ravel().tolist(),
        "labels": labels.ravel().tolist(),
        "metrics": {name: float(value) for name, value in expected.items()},
    }


def main():
    random = numpy.random.default_rng(5)
    cases = [
        case("binary", binary(random)),
        case("multiclass", multiclass(random, 4, [0, 1, 2, 3])),
        # Class 2 has no row.
        case("multiclass", multiclass(random, 4, [0, 1, 3])),
        case("multilabel", multilabel(random, 3)),
        case("regression", regression(random, 2)),
    ]
    print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")


if __name__ == "__main__":
    main()
