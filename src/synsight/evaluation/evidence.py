"""Zero-shot by named evidence: a model of words answers for classes whose names its words can say."""

import time

import numpy as np

from synsight.errors import UsageError
from synsight.evaluation.judged import Judged
from synsight.evaluation.naming import MOST_SHOWN, Names, class_names, score_by_name
from synsight.evaluation.scoring import Scored
from synsight.language.similarity import LEAST_SIMILARITY
from synsight.metrics.start_probe import Start
from synsight.models import Model
from synsight.models.label_words import NameLanguage
from synsight.models.transfer_init import TransferInit, transfer_init

TASK = "evidence"
_MOST_WORDS = 6


def evidence(judged: Judged) -> Scored:
    """Ask a model that predicts words for the class of the test rows: class name -> words -> their scores.

    A class that none of the model's words means is never answered; it is counted and named in the records.

    Raises:
        UsageError: The model predicts no words, knows no class's name, or only features are known.
        DataError: The file of names is not as expected.
        MissingDependency: Names are Japanese, and the extra `ja` is not installed.
    """
    model, names = check_words(judged, TASK), class_names(judged)
    init = words_of_classes(judged, model, names)
    features = judged.features.test
    began = time.perf_counter()
    probabilities = evidence_classifier(init).probabilities(features)
    return score_by_name(
        judged,
        TASK,
        probabilities,
        names=names,
        seconds=time.perf_counter() - began,
        details=describe_words(judged, init),
        settings={"least_similarity": LEAST_SIMILARITY, "locale": judged.options.wording.locale},
    )


def evidence_classifier(init: TransferInit) -> Start:
    """Rows that answer for classes as they are: a class's score is the mean of its words' scores.

    A word's score is the log-odds that the image shows it; for rare words their softmax over the classes
    compares what the model believes of each. A class without a word has probability zero.
    """
    known = np.array([bool(words) for words in init.matched])
    return Start(np.where(known[:, None], init.weight, 0.0), np.where(known, init.bias, -np.inf))


def check_words(judged: Judged, task: str) -> Model:
    """The model, which predicts words.

    Raises:
        UsageError: It predicts none.
    """
    model = judged.network
    if model.word_head is None or model.vocabulary is None:
        raise UsageError(
            f"{judged.name}: predicts no words, so the task {task} does not apply to it; name a model that "
            "catlip or superclass trained."
        )
    return model


def words_of_classes(judged: Judged, model: Model, names: Names) -> TransferInit:
    """The words that the classes' names mean, and their rows.

    Raises:
        UsageError: No class has any.
    """
    language: NameLanguage = "ja" if judged.options.wording.locale == "ja" else "en"
    init = transfer_init(model, names, language=language, seed=judged.options.seed)
    if not any(init.matched):
        raise UsageError(
            f"{judged.name}: none of its words means one of the {len(names)} classes of "
            f"{judged.splits.label!r} (the first is {names[0][0]!r}); give names that people use with "
            "--class-names, and --locale ja where they are Japanese."
        )
    return init


def describe_words(judged: Judged, init: TransferInit) -> dict[str, object]:
    """Which words answer for which class, for a reader."""
    labels = judged.splits.class_names
    without = [label for label, words in zip(labels, init.matched, strict=True) if not words]
    found: dict[str, object] = {
        "least_similarity": LEAST_SIMILARITY,
        "locale": judged.options.wording.locale,
        "classes_without_word": len(without),
        "without_word": without[:MOST_SHOWN],
    }
    if len(labels) <= MOST_SHOWN:
        found["words"] = {
            label: [[word, round(similarity, 3)] for word, similarity in words[:_MOST_WORDS]]
            for label, words in zip(labels, init.matched, strict=True)
        }
    return found
